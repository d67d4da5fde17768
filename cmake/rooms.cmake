# tocsin_room(FOLDER USES ROOM...): a library from FOLDER/*.cc, named FOLDER with / as _, and a test
# program FOLDER_test from FOLDER/*_test.cc.  Each room and what it uses is noted in rooms.txt,
# which tests/house_test.cc reads.
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/rooms.txt "")

# Builds what the tests labelled `threads` need.
add_custom_target(threads_tests)

function(tocsin_room folder)
  cmake_parse_arguments(ROOM "" "" "USES" ${ARGN})
  string(REPLACE "/" "_" target ${folder})
  string(REPLACE ";" " " uses "${ROOM_USES}")
  file(APPEND ${CMAKE_CURRENT_BINARY_DIR}/rooms.txt "${folder}: ${uses}\n")

  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$|/main\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)
    include(${CMAKE_CURRENT_SOURCE_DIR}/${folder}/CMakeLists.txt)  # may append to `sources`
  endif()

  set(scope PUBLIC)
  if(sources)
    add_library(${target} STATIC ${sources})
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${target} ${scope} tocsin_options ${TOCSIN_LIBS_${target}})
  foreach(used ${ROOM_USES})
    string(REPLACE "/" "_" used ${used})
    target_link_libraries(${target} ${scope} ${used})
  endforeach()

  if(tests)
    add_executable(${target}_test ${tests})
    target_link_libraries(${target}_test PRIVATE ${target} GTest::gmock GTest::gtest_main)
    add_test(NAME ${target}_test COMMAND ${target}_test
      WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${target}_test PROPERTIES LABELS unit)

    # Suites named *ThreadsTest run once more under the label `threads`, for the thread sanitizer.
    foreach(test ${tests})
      file(STRINGS ${test} has_threads REGEX "ThreadsTest" LIMIT_COUNT 1)
      if(has_threads)
        set(room_has_threads TRUE)
      endif()
    endforeach()
    if(room_has_threads)
      add_test(NAME ${target}_threads_test COMMAND ${target}_test --gtest_filter=*ThreadsTest*
        WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
      set_tests_properties(${target}_threads_test PROPERTIES LABELS threads)
      add_dependencies(threads_tests ${target}_test)
    endif()
  endif()
endfunction()
