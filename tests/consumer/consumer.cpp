/* SPDX-License-Identifier: MIT */
#include <ctrack.h>
#include <string>

int main()
{
    ctrack *tracker = nullptr;
    ctrack_coordinate wrote = {"doc-7", "document", "main", 12};
    bool good = ctrack_open("consumer.db", nullptr, &tracker, nullptr) == CTRACK_OK &&
                ctrack_update(tracker, &wrote, 1, nullptr) == CTRACK_OK &&
                ctrack_wait(tracker, &wrote, 1, 0, nullptr, nullptr) == CTRACK_OK &&
                ctrack_close(tracker, nullptr) == CTRACK_OK && std::string(ctrack_version()) == CTRACK_VERSION;
    return good ? 0 : 1;
}
