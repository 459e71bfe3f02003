# Read in the middle of llama-cpp-python's own `project()` call (CMAKE_PROJECT_llama_cpp_INCLUDE).
#
# Its CMakeLists forces LLAMA_BUILD_COMMON to ON in the cache. A normal variable set here wins over that (policy
# CMP0126, NEW since CMake 3.21, which the package asks for). `common` is the toolbox of llama.cpp's command line
# programs: Hearth loads none of it, and it is most of the compile: 1 min 47 s without, 6 to 8 min with, on 2 cores.
set(LLAMA_BUILD_COMMON OFF)

# Intel's AMX is left out of what GCC compiles: in GCC 12 `_tile_loadconfig` declares 8 of its 64 bytes as input, the stores
# of the rest are dropped, and the first prompt ends the process. The flags must stand behind -march=native, which names
# AMX itself on such a processor; nothing but the rule that calls the compiler stands behind a target's own options.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    foreach(language C CXX)
        set(CMAKE_${language}_COMPILE_OBJECT
            "<CMAKE_${language}_COMPILER> <DEFINES> <INCLUDES> <FLAGS> -mno-amx-tile -mno-amx-int8 -mno-amx-bf16 -o <OBJECT> -c <SOURCE>")
    endforeach()
endif()
