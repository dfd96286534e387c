# SPDX-License-Identifier: MIT
#
# Completion of ctrack(1) for bash: commands, options, and names of files.

# The options of a command.
_ctrack_options() {
    local filter="--document --scope --branch"
    case $1 in
    update) echo "--ack --read-model" ;;
    get | forget) echo "--read-model" ;;
    list) echo "$filter --format --read-model" ;;
    wait) echo "--token --timeout --read-model" ;;
    watch) echo "$filter --interval --count --once --read-model" ;;
    dump) echo "-o --output --format --read-model" ;;
    restore) echo "-i --input --merge --replace --dry-run --read-model" ;;
    snapshot) echo "--force" ;;
    check | stats | models) echo "--format" ;;
    migrate) echo "--dry-run" ;;
    esac
}

_ctrack() {
    local commands="update get list wait watch dump restore snapshot check forget fold stats models migrate"
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands help --help --version" -- "$word")
        return
    fi
    case $command:$before in
    help:*)
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
        return
        ;;
    dump:--format)
        mapfile -t COMPREPLY < <(compgen -W "ndjson json" -- "$word")
        return
        ;;
    *:--format)
        mapfile -t COMPREPLY < <(compgen -W "table ndjson json csv" -- "$word")
        return
        ;;
    *:--read-model | *:--document | *:--scope | *:--branch | *:--token | *:--timeout | *:--busy-timeout | *:--interval | *:--count)
        return
        ;;
    esac
    if [[ $word == -* && $before != -[oi] ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_ctrack_options "$command") --busy-timeout --help" -- "$word")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}

complete -F _ctrack ctrack
