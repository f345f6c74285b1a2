// ntdll's calls of the kernel, x64.
	.intel_syntax noprefix
	.macro CALL name, number
	.globl \name
	.p2align 5, 0xcc
\name:
	mov r10, rcx
	mov eax, \number
	test byte ptr [0x7ffe0308], 1
	jne 1f
	syscall
\name\()_return:
	ret
1:	int 0x2e
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
	.p2align 4, 0xcc
__chkstk:
	ret
