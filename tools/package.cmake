# SPDX-License-Identifier: MIT
#
# Debian packages of the components of an installation: `cmake --preset deb`, build, `cpack --preset deb`. Included by
# the project, last. What a package of programs depends on is found by dpkg-shlibdeps.
include(GNUInstallDirs)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ctrack)
set(CPACK_PACKAGE_VENDOR "the ctrack authors")
set(CPACK_PACKAGE_CONTACT "the ctrack authors")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL runtime development)
if(CTRACK_BUILD_TOOLS)
    list(APPEND CPACK_COMPONENTS_ALL command extension)
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON) # and the scripts that run ldconfig
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

# dpkg-shlibdeps goes by the calls that are used, and cannot know of the SQL.
set(sqlite "libsqlite3-0 (>= ${SQLITE_NEEDED})")
set(library libctrack${PROJECT_VERSION_MAJOR})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${library})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_DEPENDS "${sqlite}")
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "The shared library. It records how far a read model has processed an event
log, for each document, scope and branch, in a SQLite file, and lets anybody
wait for a point of that history.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libctrack-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# The static library and ctrack.pc name SQLite's development files.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "${library} (= ${PROJECT_VERSION}), libsqlite3-dev (>= ${SQLITE_NEEDED})")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Header, static library, CMake package, pkg-config file and manual page.")

set(CPACK_DEBIAN_COMMAND_PACKAGE_NAME ctrack)
set(CPACK_DEBIAN_COMMAND_PACKAGE_SECTION database)
set(CPACK_DEBIAN_COMMAND_PACKAGE_DEPENDS "${sqlite}")
set(CPACK_COMPONENT_COMMAND_DESCRIPTION "The command. It reports, reads, waits for, dumps and restores the progress of
read models in the tracker's files.")

set(CPACK_DEBIAN_EXTENSION_PACKAGE_NAME libsqlite3-mod-ctrack)
set(CPACK_DEBIAN_EXTENSION_PACKAGE_SECTION libs)
set(CPACK_COMPONENT_EXTENSION_DESCRIPTION "The loadable extension of SQLite: `.load ctrack` in the sqlite3 shell. It reports
progress and asks for it in a transaction of its host.")

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
    string(TOUPPER ${component} upper)
    install(FILES ${CPACK_RESOURCE_FILE_LICENSE} COMPONENT ${component} RENAME copyright
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
endforeach()

include(CPack)
