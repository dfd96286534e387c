# SPDX-License-Identifier: MIT
#
# Embeds migrations/NNNN_what.sql into a C file that defines what src/migrations.h declares.
#
# This file is both halves: included, it defines ctrack_embed_migrations(), which adds the build step; run by that step
# with `cmake -P`, it writes the file. No other tool is needed. The text becomes arrays of bytes: it survives whatever it
# contains, and C11 promises no string literal longer than 4,095 characters.

# ctrack_embed_migrations(<file.c> <directory> <name>...): the names without ".sql", in order.
function(ctrack_embed_migrations output directory)
    list(TRANSFORM ARGN REPLACE "^(.+)$" "${directory}/\\1.sql" OUTPUT_VARIABLE files)
    # A file that is there but not listed must fail the build, hence the directory as a dependency.
    add_custom_command(OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} -D OUTPUT=${output} -D DIRECTORY=${directory} -D "NAMES=${ARGN}"
                -P ${CMAKE_CURRENT_FUNCTION_LIST_FILE}
        DEPENDS ${files} ${directory} ${CMAKE_CURRENT_FUNCTION_LIST_FILE}
        COMMENT "Embedding migrations"
        VERBATIM)
endfunction()

# Numbered from 1 without a gap, none forgotten: a migration that is left out would be noticed by users only.
function(check_names)
    file(GLOB present RELATIVE ${DIRECTORY} ${DIRECTORY}/*.sql)
    list(SORT present)
    list(TRANSFORM present REPLACE "\\.sql$" "")
    if(NOT "${present}" STREQUAL "${NAMES}")
        message(FATAL_ERROR "${DIRECTORY} holds '${present}', the build lists '${NAMES}'")
    endif()
    set(version 0)
    foreach(name IN LISTS NAMES)
        math(EXPR version "${version} + 1")
        if(NOT name MATCHES "^0*${version}_[a-z0-9_]+$" OR NOT name MATCHES "^[0-9][0-9][0-9][0-9]_")
            message(FATAL_ERROR "migration ${version} is named '${name}'; NNNN_what is wanted, numbered without a gap")
        endif()
    endforeach()
endfunction()

# The bytes of a file as the text of an array's initialiser, with a NUL at the end.
function(bytes_of file result)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1, " bytes "${bytes}")
    string(REPEAT "0x.., " 19 line)
    string(REGEX REPLACE "(${line})" "\\1\n    " bytes "${bytes}")
    set(${result} "    ${bytes}0x00" PARENT_SCOPE)
endfunction()

if(CMAKE_SCRIPT_MODE_FILE STREQUAL CMAKE_CURRENT_LIST_FILE)
    check_names()
    set(arrays "")
    set(rows "")
    set(version 0)
    foreach(name IN LISTS NAMES)
        math(EXPR version "${version} + 1")
        bytes_of(${DIRECTORY}/${name}.sql bytes)
        string(APPEND arrays "static const unsigned char sql_${version}[] = {\n${bytes}};\n\n")
        string(APPEND rows "    {${version}, \"${name}\", (const char *)sql_${version}},\n")
    endforeach()
    file(WRITE ${OUTPUT} "/* Made by src/embed_migrations.cmake from migrations/; do not edit. */\n"
        "#include \"migrations.h\"\n\n${arrays}"
        "const ct_migration ct_migrations[] = {\n${rows}};\n"
        "const int ct_migrations_count = ${version};\n")
endif()
