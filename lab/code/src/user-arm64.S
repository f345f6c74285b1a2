// ntdll's calls of the kernel, ARM64.
	.macro CALL name, number
	.globl \name
	.p2align 4
\name:
	svc #\number
\name\()_return:
	ret
	.endm
	CALL NtWaitForSingleObject, 4
	CALL NtReadFile, 6
	CALL NtDeviceIoControlFile, 7
	CALL NtWriteFile, 8
	CALL NtRemoveIoCompletion, 9
	CALL NtTerminateProcess, 0x2c
	CALL NtDelayExecution, 0x34
	CALL NtWaitForMultipleObjects, 0x5b
	CALL NtWaitForWorkViaWorkerFactory, 0x1d1
	.globl __chkstk
	.p2align 2
__chkstk:
	ret
