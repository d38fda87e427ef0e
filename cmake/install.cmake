# cmake --install: program, headers, both libraries, and what finds them: find_package(yoke) and pkg-config.
# The shared library brings its dependencies along; the static one asks for them, so its targets stand in a file of their own.
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/yoke)
install(TARGETS yoke_cli RUNTIME)
if(YOKE_MPI_MODULES)
  install(TARGETS ${YOKE_MPI_MODULES} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/yoke TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(TARGETS yoke EXPORT yokeTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS yoke_static EXPORT yokeStaticTargets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(export yokeTargets yokeStaticTargets)
  install(EXPORT ${export} NAMESPACE yoke:: DESTINATION ${package})
endforeach()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/yokeConfig.cmake.in ${PROJECT_BINARY_DIR}/yokeConfig.cmake
  INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
# Before 1.0 every minor version may break what the last one promised.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/yokeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/yokeConfig.cmake ${PROJECT_BINARY_DIR}/yokeConfigVersion.cmake DESTINATION ${package})

# yoke.pc finds its prefix from where it lies, so that an installed tree may be moved.
file(RELATIVE_PATH YOKE_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
list(TRANSFORM CMAKE_C_IMPLICIT_LINK_DIRECTORIES PREPEND -L OUTPUT_VARIABLE searched_anyway)
list(REMOVE_ITEM YOKE_PC_LIBS ${searched_anyway})
list(JOIN YOKE_PC_LIBS " " YOKE_PC_LIBS)
configure_file(${PROJECT_SOURCE_DIR}/cmake/yoke.pc.in ${PROJECT_BINARY_DIR}/yoke.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/yoke.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
