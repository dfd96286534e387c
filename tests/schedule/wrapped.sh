#!/bin/sh
# SPDX-License-Identifier: MIT
#
# wrapped.sh NM LIBRARY CALL...: fails if the library blocks, wakes or asks the time in another way than by the calls
# that are wrapped: the scheduler would not know.
set -u
nm=$1
library=$2
shift 2

# What takes no part in who runs.
harmless="pthread_once pthread_atfork __register_atfork pthread_sigmask pthread_condattr_init pthread_condattr_destroy
    pthread_condattr_setclock"
calls=$("$nm" --undefined-only "$library" | sed -n 's/^ *U \([A-Za-z_]*\).*/\1/p' |
    grep -E '^(_*pthread_|sem_|sched_|thrd_|mtx_|cnd_)|sleep|poll|select|clock|futex' | sort -u)
if [ -z "$calls" ]; then
    echo "no call was found in $library"
    exit 1
fi
failed=0
for call in $calls; do
    case " $* $(echo $harmless) " in
    *" $call "*) ;;
    *)
        case $call in
        ct_*) ;; # our own
        *)
            echo "not wrapped: $call"
            failed=1
            ;;
        esac
        ;;
    esac
done
exit $failed
