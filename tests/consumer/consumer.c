/* SPDX-License-Identifier: MIT */
#include <ctrack.h>
#include <string.h>

int main(void)
{
    ctrack *tracker = NULL;
    ctrack_coordinate wrote = {"doc-7", "document", "main", 12};
    int good = ctrack_open("consumer.db", NULL, &tracker, NULL) == CTRACK_OK &&
               ctrack_update(tracker, &wrote, 1, NULL) == CTRACK_OK &&
               ctrack_wait(tracker, &wrote, 1, 0, NULL, NULL) == CTRACK_OK &&
               ctrack_close(tracker, NULL) == CTRACK_OK && strcmp(ctrack_version(), CTRACK_VERSION) == 0;
    return good ? 0 : 1;
}
