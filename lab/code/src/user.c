// The user's side: -DIMAGE_name picks one.
#include "lab.h"

#if IMAGE_ntdll
FN(RtlUserThreadStart, 8, 0, INDIRECT(0x8) CALL(NtTerminateProcess))
FN(LdrInitializeThunk, 8, 2, CALL(LdrpInitialize))
FN(LdrpInitialize, 20, 4, INDIRECT(0x20))
FN(TppWorkerThread, 150, 4, CALL(NtWaitForWorkViaWorkerFactory) INDIRECT(0x28))
FN(RtlpAllocateHeap, 30, 4, )
#elif IMAGE_KERNELBASE
FN(DeviceIoControl, 12, 3, IMPORT(NtDeviceIoControlFile))
FN(WaitForSingleObjectEx, 16, 3, IMPORT(NtWaitForSingleObject))
FN(WaitForMultipleObjectsEx, 90, 4, IMPORT(NtWaitForMultipleObjects))
FN(SleepEx, 14, 2, IMPORT(NtDelayExecution))
FN(GetQueuedCompletionStatus, 12, 3, IMPORT(NtRemoveIoCompletion))
FN(ReadFile, 14, 4, IMPORT(NtReadFile))
FN(WriteFile, 14, 4, IMPORT(NtWriteFile))
FN(TerminateProcess, 4, 1, IMPORT(NtTerminateProcess))
#elif IMAGE_kernel32
FN(DeviceIoControlImplementation, 16, 3, IMPORT(DeviceIoControl))
FN(BaseThreadInitThunk, 4, 0, INDIRECT(0x10))
FN(TerminateProcessImplementation, 4, 1, IMPORT(TerminateProcess))
FN(UnhandledExceptionFilter, 40, 2, )
#elif IMAGE_notmyfault64
FN(mainCRTStartup, 10, 1, CALL(main))
FN(main, 60, 3, CALL(DialogLoop))
FN(DialogLoop, 20, 2, CALL(MainDialog) IMPORT(WaitForSingleObjectEx))
FN(MainDialog, 90, 4, CALL(DoCrash))
FN(DoCrash, 26, 3, CALL(ReadAfterCrash) IMPORT(DeviceIoControlImplementation))
#if defined(__x86_64__)
#define TOUCH(mark, from) __asm__ volatile(MARK(mark) "movl (%%rbx), %%eax" : : "b"(from) : "rax", "memory")
#else
#define TOUCH(mark, from) { register u64 x19 __asm__("x19") = (from); __asm__ volatile(MARK(mark) "ldr w8, [x19]" : : "r"(x19) : "x8", "memory"); }
#endif
// ReadAfterCrash touches its own memory when the driver has returned.
NOINLINE u64 ReadAfterCrash(u64 a, u64 b, u64 c, u64 d)
{
	volatile u64 room[6];
	room[0] = a ^ b ^ c ^ d;
	TOUCH(ReadAfterCrash_fault, a);
	return room[0];
}
FN(LeakThread, 12, 2, IMPORT(DeviceIoControlImplementation) IMPORT(SleepEx))
#elif IMAGE_generic
FN(mainCRTStartup, 10, 1, CALL(main))
FN(main, 40, 3, CALL(ServiceMain) IMPORT(WaitForSingleObjectEx) IMPORT(WaitForMultipleObjectsEx))
FN(ServiceMain, 20, 2, IMPORT(GetQueuedCompletionStatus) IMPORT(SleepEx))
#endif
