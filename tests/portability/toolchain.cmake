# SPDX-License-Identifier: MIT
#
# For run.sh, which says by its environment: the compiler; where the libraries are, and in which directory of lib there;
# how programs are linked, and what runs them, if this machine does not.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_C_COMPILER $ENV{PORTABILITY_COMPILER})
set(CMAKE_C_FLAGS_INIT -Wno-psabi) # notes of gcc on what its older versions did
set(CMAKE_CXX_COMPILER "")
set(CMAKE_LIBRARY_ARCHITECTURE $ENV{PORTABILITY_LIBRARIES})
set(CMAKE_EXE_LINKER_FLAGS_INIT $ENV{PORTABILITY_LINK})
set(CMAKE_CROSSCOMPILING_EMULATOR $ENV{PORTABILITY_EMULATOR})
set(CMAKE_FIND_ROOT_PATH $ENV{PORTABILITY_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
