# `cpack` makes the Debian packages libnft0, libnft-dev and nftool. Configure with CMAKE_INSTALL_PREFIX=/usr.
set(NFT_DEBIAN_runtime libnft0)
set(NFT_DEBIAN_development libnft-dev)
set(NFT_DEBIAN_program nftool)
set(NFT_DEBIAN_COMPONENTS runtime development)
if(NFT_BUILD_PROGRAM)
    list(APPEND NFT_DEBIAN_COMPONENTS program)
endif()
foreach(component ${NFT_DEBIAN_COMPONENTS})
    install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${NFT_DEBIAN_${component}}
        RENAME copyright COMPONENT ${component} EXCLUDE_FROM_ALL)
    string(TOUPPER ${component} name)
    set(CPACK_DEBIAN_${name}_PACKAGE_NAME ${NFT_DEBIAN_${component}})
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/guide DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/libnft-dev
    COMPONENT development EXCLUDE_FROM_ALL)

set(NFT_ABOUT
"Neural Functional Transformers and NFN layers are models whose input is the weights of
other networks, and whose answers do not depend on the order of hidden neurons.")
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "weights of trained networks as data - library\n${NFT_ABOUT}")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
if(HDF5_FOUND) # loaded when it is needed
    string(REGEX REPLACE "^lib(.*)_serial\\.so\\.([0-9]+)$" "lib\\1-\\2" NFT_HDF5_PACKAGE "${NFT_HDF5_SONAME}")
    set(CPACK_DEBIAN_RUNTIME_PACKAGE_RECOMMENDS ${NFT_HDF5_PACKAGE})
endif()

# A program that links the static library needs the library's dependencies.
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "weights of trained networks as data - development files\n${NFT_ABOUT}")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libnft0 (= ${PROJECT_VERSION}), libopenblas-dev, libjansson-dev, zlib1g-dev, libc6-dev")

set(CPACK_DEBIAN_PROGRAM_DESCRIPTION "weights of trained networks as data - program\n${NFT_ABOUT}")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_DEPENDS "libnft0 (= ${PROJECT_VERSION})")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)

set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL ${NFT_DEBIAN_COMPONENTS})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PACKAGING_INSTALL_PREFIX ${CMAKE_INSTALL_PREFIX})
set(CPACK_PACKAGE_CONTACT libnft)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
