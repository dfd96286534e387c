# SPDX-License-Identifier: MIT
#
# Runs manual.awk, with the output in a file: HEADER, OUTPUT.
execute_process(
    COMMAND awk -v "date=November 24, 2026" -f ${CMAKE_CURRENT_LIST_DIR}/manual.awk ${HEADER} ${HEADER}
    OUTPUT_FILE ${OUTPUT} COMMAND_ERROR_IS_FATAL ANY)
