# What `cmake --install` and the archive of `cpack` give: the command, the library with its headers, pkg-config's
# description of how to compile and link with it, README, LICENSE and what the machine must have.
include(GNUInstallDirs)
# Only what is installed is built, not the tests.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

if(TARGET tern_app)
  install(TARGETS tern_app RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS tern ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(room core ops nn data metrics models train)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern/${room}
          FILES_MATCHING PATTERN "*.h")
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/tern.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern)
install(FILES ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/LICENSE
              ${CMAKE_CURRENT_LIST_DIR}/install/INSTALL.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(tern_pc_flags "")
set(tern_pc_libraries "-lfmt")
get_target_property(dependencies tern_dependencies INTERFACE_LINK_LIBRARIES)
if(JPEG::JPEG IN_LIST dependencies)
  string(APPEND tern_pc_libraries " -ljpeg")
endif()
if(PNG::PNG IN_LIST dependencies)
  string(APPEND tern_pc_libraries " -lpng")
endif()
if(TERN_CUDA)
  set(tern_pc_flags "-DTERN_WITH_CUDA")
  string(APPEND tern_pc_libraries " -L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt")
endif()
configure_file(${CMAKE_CURRENT_LIST_DIR}/install/tern.pc.in ${CMAKE_BINARY_DIR}/tern.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/tern.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_FILE_NAME tern-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
if(TERN_CUDA)
  string(APPEND CPACK_PACKAGE_FILE_NAME -cuda)
endif()
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
include(CPack)
