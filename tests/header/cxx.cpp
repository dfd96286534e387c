/* SPDX-License-Identifier: MIT */
#include "ctrack.h"

/* A callback written in C++ has the right linkage, and the constants convert without a cast. */
extern "C" {
static void settled(ctrack_promise *, ctrack_status, void *)
{
}
}

int main()
{
    ctrack_options options = CTRACK_OPTIONS_INIT;
    ctrack_key key = {"document", "scope", "branch"};
    ctrack_callback *callback = settled;
    (void)key;
    return options.size == sizeof options && callback != nullptr && ctrack_version()[0] != '\0' ? 0 : 1;
}
