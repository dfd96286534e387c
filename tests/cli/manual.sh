#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# manual.sh CTRACK DIRECTORY: every command and every option of --help is taken by the command, stands in the man page, in
# the section of its command, and in both completions; and these know nothing else. DIRECTORY has ctrack.1 and completion/.
set -euo pipefail
ctrack=$1 directory=$2
page=$directory/ctrack.1 bash_file=$directory/completion/ctrack.bash zsh_file=$directory/completion/_ctrack
failures=0

complain() {
    echo "$*" >&2
    failures=$((failures + 1))
}

# same WHAT EXPECTED FOUND: both are lists, one item a line; an empty line is none.
same() {
    local difference
    if ! difference=$(diff <(sort -u <<<"$2" | sed '/^$/d') <(sort -u <<<"$3" | sed '/^$/d')); then
        complain "$1 differs from --help ('<' is missing, '>' is too much):"
        complain "$difference"
    fi
}

# The options that a text speaks of, in the order of its lines.
options_in() {
    grep -oE -- '(^|[^-a-zA-Z0-9])--?[a-z][a-z-]*' | grep -oE -- '--?[a-z][a-z-]*' | grep -E -- '^--..|^-.$' || true
}

# The commands that --help lists.
commands=$("$ctrack" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p')
[ -n "$commands" ] || complain "--help lists no commands"
common=$'--busy-timeout\n--help'

# shellcheck source=/dev/null
. "$bash_file"
# bash_offers WORD...: what bash offers for the last word.
bash_offers() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _ctrack
    printf '%s\n' "${COMPREPLY[@]}"
}
# zsh_offers COMMAND: the options in the line of the command, with those of the lists that it names.
zsh_offers() {
    local line list
    line=$(grep -E "^    $1\) _arguments" "$zsh_file") || true
    for list in common model filter form; do
        if [[ $line == *"\$$list"* ]]; then
            line+=$(grep -E "^    $list=\(" "$zsh_file")
        fi
    done
    # shellcheck disable=SC2001 # no extended patterns needed
    # Without what an option excludes: '(--once)--count[…]'.
    sed 's/(-[^()]*)//g' <<<"$line" | grep -oE -- "['{,]--?[a-z][a-z-]*" | grep -oE -- '--?[a-z][a-z-]*'
}

same "the man page's list of commands" "$commands" "$(sed -n 's/^\.Ss //p' "$page")"
same "bash's list of commands" "$commands"$'\nhelp\n--help\n--version' "$(bash_offers ctrack '')"
same "zsh's list of commands" "$commands" "$(sed -n "s/^        '\([a-z]*\):.*/\1/p" "$zsh_file")"
for option in $("$ctrack" --help | options_in); do
    grep -qE "^\.(It|Nm|Op)?.*Fl -?${option#--}( |$)" "$page" || complain "the man page lacks $option"
done

# The options of all commands.
every=$(for command in $commands; do "$ctrack" "$command" --help | options_in; done | sort -u)$'\n'--busy-timeout

for command in $commands; do
    help=$("$ctrack" "$command" --help | sed '/^Example:/,$d' | options_in)
    section=$(awk -v name="$command" '/^\.S[sh]/ { inside = ($1 == ".Ss" && $2 == name) } inside' "$page")
    written=$(grep -oE 'Fl -?[a-z][a-z-]*' <<<"$section" | sed 's/^Fl /-/') || true
    same "the man page on $command" "$help" "$written"
    same "bash on $command" "$help"$'\n'"$common" "$(bash_offers ctrack "$command" -)"
    same "zsh on $command" "$help"$'\n'"$common" "$(zsh_offers "$command")"
    taken=""
    for option in $every; do
        # Without a file none does more than look at its options.
        said=$("$ctrack" "$command" "$option" 2>&1 </dev/null) || true
        [[ $said == *"unknown option"* ]] || taken+=$option$'\n'
    done
    same "what $command takes" "$help"$'\n'"$common" "$taken--help"
done

if command -v mandoc >/dev/null; then
    mandoc -T lint -W style "$page" >&2 || complain "mandoc complains of the man page"
else
    echo "SKIPPED: mandoc is not here (apt-get install mandoc): the man page's form is NOT tested" >&2
fi
if command -v zsh >/dev/null; then
    zsh -n "$zsh_file" || complain "zsh cannot read its completion"
else
    echo "SKIPPED: zsh is not here (apt-get install zsh): the form of its completion is NOT tested" >&2
fi
exit $((failures > 0))
