/* For tests under Wine 8 only, and never shipped: Wine has no bcryptprimitives.dll, from which Rust's standard library takes its
   random numbers. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length) { return SystemFunction036(buffer, (ULONG)length); }
