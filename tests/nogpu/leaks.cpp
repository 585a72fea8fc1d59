// What the installed cuDNN and cuBLAS keep until the process ends is not ours to free. Libraries stay loaded,
// so that AddressSanitizer can name the one that a leaked block comes from.

extern "C" {

const char* __lsan_default_suppressions() { return "leak:libcudnn\nleak:libcublasLt\n"; }

int dlclose(void*) { return 0; }

}  // extern "C"
