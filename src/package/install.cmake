# The files that `cmake --install` writes.
include(CMakePackageConfigHelpers)
set(NFT_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/nft)

# Libraries that a program needs in addition to the static one: a name where the linker finds it, else the path.
set(NFT_CBLAS_LINK)
foreach(library IN LISTS NFT_CBLAS_LIBRARY)
    get_filename_component(folder "${library}" DIRECTORY)
    if(folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES AND library MATCHES "/lib([^/]*)\\.(so|a)$")
        set(library -l${CMAKE_MATCH_1})
    endif()
    list(APPEND NFT_CBLAS_LINK ${library})
endforeach()
list(JOIN NFT_CBLAS_LINK " " NFT_CBLAS_FLAGS)
target_link_libraries(nft_static INTERFACE $<INSTALL_INTERFACE:${NFT_CBLAS_LINK};-ljansson;-lz;Threads::Threads;m>)

# Components: `runtime` to run a program that uses the library, `development` to build one, and `program`. Packages have a licence and a
# separate guide (deb.cmake).
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/nft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development
    FILES_MATCHING PATTERN *.h PATTERN *.hpp)
install(TARGETS nft nft_static EXPORT nftTargets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(EXPORT nftTargets NAMESPACE nft:: DESTINATION ${NFT_CMAKE_DIR} COMPONENT development)
if(NFT_BUILD_PROGRAM)
    if(NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr") # where every program looks for libraries
        file(RELATIVE_PATH NFT_LIBRARY_FROM_PROGRAM ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
        set_target_properties(nft_program PROPERTIES INSTALL_RPATH "$ORIGIN/${NFT_LIBRARY_FROM_PROGRAM}")
    endif()
    install(TARGETS nft_program DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
    install(FILES ${CMAKE_CURRENT_LIST_DIR}/nftool.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT program)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/nftConfig.cmake.in nftConfig.cmake INSTALL_DESTINATION ${NFT_CMAKE_DIR})
# As the SONAME, libnft.so.0 until 1.0.
write_basic_package_version_file(nftConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nftConfig.cmake ${PROJECT_BINARY_DIR}/nftConfigVersion.cmake DESTINATION ${NFT_CMAKE_DIR}
    COMPONENT development)

# Paths relative to nft.pc, so that the prefix may be chosen when installing.
file(RELATIVE_PATH NFT_PREFIX_FROM_PC ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH NFT_LIBDIR_FROM_PREFIX ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH NFT_INCLUDEDIR_FROM_PREFIX ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
configure_file(${CMAKE_CURRENT_LIST_DIR}/nft.pc.in nft.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT licence)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/guide DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT guide)
if(NFT_TOP_LEVEL)
    include(${CMAKE_CURRENT_LIST_DIR}/deb.cmake)
endif()
