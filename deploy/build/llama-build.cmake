# Read in the middle of llama-cpp-python's own `project()` call (CMAKE_PROJECT_llama_cpp_INCLUDE).
#
# Its CMakeLists forces LLAMA_BUILD_COMMON to ON in the cache. A normal variable set here wins over that (policy
# CMP0126, NEW since CMake 3.21, which the package asks for). `common` is the toolbox of llama.cpp's command line
# programs: Hearth loads none of it, and it is most of the compile: 1 min 47 s without, 6 to 8 min with, on 2 cores.
set(LLAMA_BUILD_COMMON OFF)
