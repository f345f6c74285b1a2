// The kernel's functions that are written in assembler, x64: what is entered by
// the processor, and what changes stacks. Unlike a compiler's, their frames are
// structures: KTRAP_FRAME (0x190 bytes), KEXCEPTION_FRAME (0x140), KSWITCH_FRAME
// (0x40); public symbols give them, "dt nt!_KTRAP_FRAME" and so on.
	.intel_syntax noprefix

	.macro BEGIN name
	.globl \name
	.p2align 6, 0xcc
	.seh_proc \name
\name:
	.endm

	.macro END
	.seh_endproc
	.endm

// TRAP opens a function that the processor enters with a machine frame: then rsp
// is the KTRAP_FRAME and rbp points 0x80 into it. code=1: with an error code.
	.macro TRAP name, code
	BEGIN \name
	.if \code
	.seh_pushframe @code
	.else
	.seh_pushframe
	sub rsp, 8
	.seh_stackalloc 8
	.endif
	push rbp
	.seh_pushreg rbp
	sub rsp, 0x158
	.seh_stackalloc 0x158
	lea rbp, [rsp + 0x80]
	.seh_setframe rbp, 0x80
	.seh_endprologue
	mov [rbp - 0x50], rax
	mov [rbp - 0x48], rcx
	mov [rbp - 0x40], rdx
	mov [rbp - 0x38], r8
	mov [rbp - 0x30], r9
	mov [rbp - 0x28], r10
	mov [rbp - 0x20], r11
	.endm

	.macro TRAPEND
	mov rsp, rbp
	mov rbp, [rbp + 0xd8]
	add rsp, 0xe8
	iretq
	END
	.endm

// AT fills up with no-operations to an offset from a function's begin.
	.macro AT name, offset
	.fill \offset - (. - \name), 1, 0x90
	.endm

// EXCEPTIONFRAME makes room for a KEXCEPTION_FRAME and saves what it holds.
	.macro EXCEPTIONFRAME
	sub rsp, 0x138
	.seh_stackalloc 0x138
	lea rax, [rsp + 0x100]
	movaps [rsp + 0x30], xmm6
	.seh_savexmm xmm6, 0x30
	movaps [rsp + 0x40], xmm7
	.seh_savexmm xmm7, 0x40
	movaps [rsp + 0x50], xmm8
	.seh_savexmm xmm8, 0x50
	movaps [rsp + 0x60], xmm9
	.seh_savexmm xmm9, 0x60
	movaps [rsp + 0x70], xmm10
	.seh_savexmm xmm10, 0x70
	movaps [rax - 0x80], xmm11
	.seh_savexmm xmm11, 0x80
	movaps [rax - 0x70], xmm12
	.seh_savexmm xmm12, 0x90
	movaps [rax - 0x60], xmm13
	.seh_savexmm xmm13, 0xa0
	movaps [rax - 0x50], xmm14
	.seh_savexmm xmm14, 0xb0
	movaps [rax - 0x40], xmm15
	.seh_savexmm xmm15, 0xc0
	mov [rax], rbx
	.seh_savereg rbx, 0x100
	mov [rax + 8], rdi
	.seh_savereg rdi, 0x108
	mov [rax + 0x10], rsi
	.seh_savereg rsi, 0x110
	mov [rax + 0x18], r12
	.seh_savereg r12, 0x118
	mov [rax + 0x20], r13
	.seh_savereg r13, 0x120
	mov [rax + 0x28], r14
	.seh_savereg r14, 0x128
	mov [rax + 0x30], r15
	.seh_savereg r15, 0x130
	.seh_endprologue
	.endm

	.text
	.globl KeBugCheckEx
	BEGIN KeBugCheckEx
	mov [rsp + 8], rcx
	mov [rsp + 0x10], rdx
	mov [rsp + 0x18], r8
	mov [rsp + 0x20], r9
	pushfq
	.seh_stackalloc 8
	sub rsp, 0x30
	.seh_stackalloc 0x30
	.seh_endprologue
	cli
	mov rcx, gs:[0x20]
	mov rcx, [rcx + 0x62c0]
	call RtlCaptureContext
	mov rax, [rsp + 0x60]
	mov [rsp + 0x20], rax
	mov rcx, [rsp + 0x40]
	AT KeBugCheckEx, 0x102
	call KeBugCheck2
	int3
	END

	BEGIN RtlCaptureContext
	pushfq
	.seh_stackalloc 8
	.seh_endprologue
	mov [rcx + 0x78], rax
	mov [rcx + 0x80], rcx
	mov [rcx + 0x90], rbx
	lea rax, [rsp + 0x10]
	mov [rcx + 0x98], rax
	popfq
	ret
	END

	BEGIN KiBugCheckDispatch
	EXCEPTIONFRAME
	mov [rsp + 0x20], r10
	AT KiBugCheckDispatch, 0x64
	call KeBugCheckEx
	nop
	add rsp, 0x138
	ret
	END

	BEGIN KiExceptionDispatch
	EXCEPTIONFRAME
	mov rax, gs:[0x188]
	lea rdx, [rsp]
	mov r8, rbp
	AT KiExceptionDispatch, 0x127
	call KiDispatchException
	lea rcx, [rsp + 0x100]
	add rsp, 0x138
	ret
	END

	BEGIN KiFastFailDispatch
	sub rsp, 0x198
	.seh_stackalloc 0x198
	.seh_endprologue
	mov ecx, 0x139
	mov r9, rsp
	AT KiFastFailDispatch, 0xcb
	call KiBugCheckDispatch
	nop
	add rsp, 0x198
	ret
	END

	TRAP KiPageFault, 1
	mov rcx, cr2
	mov [rbp + 0x50], rcx
	mov edx, [rbp + 0xe0]
	mov r8b, [rbp + 0xf0]
	and r8b, 1
	AT KiPageFault, 0x350
	call MmAccessFault
	test eax, eax
	jge 1f
	mov ecx, 0xc0000005
	mov edx, 2
	AT KiPageFault, 0x37a
	call KiExceptionDispatch
	nop
	mov r10, [rbp + 0xe8]
	mov r9d, [rbp + 0xe0]
	AT KiPageFault, 0x463
	call KiBugCheckDispatch
	nop
1:
	TRAPEND

	.macro DISPATCH name, code, status, offset
	TRAP \name, \code
	mov ecx, \status
	xor edx, edx
	mov r8, [rbp + 0xe8]
	AT \name, \offset - 5
	call KiExceptionDispatch
	nop
	TRAPEND
	.endm
	DISPATCH KiGeneralProtectionFault, 1, 0xc0000005, 0x320
	DISPATCH KiInvalidOpcodeFault, 0, 0xc000001d, 0x34d
	DISPATCH KiBreakpointTrap, 0, 0x80000003, 0x31f
	DISPATCH KiDivideErrorFault, 0, 0xc0000094, 0x314
	DISPATCH KiDebugTrapOrFault, 0, 0x80000004, 0x31c
	DISPATCH KiDebugServiceTrap, 0, 0x80000003, 0x31a
	DISPATCH KiAlignmentFault, 1, 0x80000002, 0x2c4

// BUGCHECK opens a trap that ends in a stop.
	.macro BUGCHECK name, code, stop, one, offset
	TRAP \name, \code
	mov ecx, \stop
	mov edx, \one
	mov r8, cr0
	mov r9, cr4
	mov r10, [rbp + 0xe8]
	AT \name, \offset - 5
	call KiBugCheckDispatch
	nop
	TRAPEND
	.endm
	BUGCHECK KiDoubleFaultAbort, 1, 0x7f, 8, 0x2ca
	BUGCHECK KiStackFault, 1, 0x7f, 0xc, 0x2f2
	BUGCHECK KiSegmentNotPresentFault, 1, 0x7f, 0xb, 0x2f2
	BUGCHECK KiNmiInterrupt, 0, 0x80, 0, 0x23c

	TRAP KiRaiseSecurityCheckFailure, 0
	mov edx, ecx
	AT KiRaiseSecurityCheckFailure, 0x31e
	call KiFastFailDispatch
	nop
	TRAPEND

	TRAP KiMcheckAbort, 0
	mov rcx, rbp
	AT KiMcheckAbort, 0x277
	call KxMcheckAbort
	nop
	TRAPEND

// Interrupts. The service routine runs on the stack for interrupts.
	.macro INTERRUPT name, callee, offset
	TRAP \name, 0
	mov rcx, [rbp]
	mov rdx, rbp
	AT \name, \offset - 5
	call \callee
	nop
	TRAPEND
	.endm
	INTERRUPT KiInterruptDispatch, KiInterruptSubDispatch, 0x67
	INTERRUPT KiInterruptDispatchNoLockNoEtw, KiInterruptSubDispatchNoLockNoEtw, 0x67
	INTERRUPT KiInterruptMessageDispatch, KiInterruptSubDispatch, 0x87
	INTERRUPT KiDpcInterrupt, KiDispatchInterruptContinue, 0x37f
	INTERRUPT KiIpiInterrupt, KiIpiInterruptSubDispatch, 0x2a1

	.macro ONSTACK name, callee, gsoffset
	BEGIN \name
	push rbp
	.seh_pushreg rbp
	mov rbp, rsp
	.seh_setframe rbp, 0
	.seh_endprologue
	mov rsp, gs:[\gsoffset]
	sub rsp, 0x20
	call \callee
	nop
	mov rsp, rbp
	pop rbp
	ret
	END
	.endm
	ONSTACK KiInterruptSubDispatch, KiCallInterruptServiceRoutine, 0x8c20
	ONSTACK KiInterruptSubDispatchNoLockNoEtw, KiCallInterruptServiceRoutine, 0x8c20
	ONSTACK KiIpiInterruptSubDispatch, KiIpiProcessRequests, 0x8c20
	ONSTACK KxRetireDpcList, KiRetireDpcList, 0x3310

	BEGIN KiIpiProcessRequests
	sub rsp, 0x38
	.seh_stackalloc 0x38
	.seh_endprologue
	call [rcx + 0x20]
	nop
	add rsp, 0x38
	ret
	END

	BEGIN KiDispatchInterruptContinue
	sub rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
	call KxRetireDpcList
	nop
	add rsp, 0x28
	ret
	END

// System calls. A user's return address comes in rcx, its flags in r11.
	BEGIN KiSystemCall64
	.seh_pushframe
	swapgs
	mov gs:[0x10], rsp
	mov rsp, gs:[0x1a8]
	push 0x2b
	push gs:[0x10]
	push r11
	push 0x33
	push rcx
	mov rcx, r10
	sub rsp, 8
	.seh_stackalloc 8
	push rbp
	.seh_pushreg rbp
	sub rsp, 0x158
	.seh_stackalloc 0x158
	lea rbp, [rsp + 0x80]
	.seh_setframe rbp, 0x80
	mov [rbp + 0xc0], rbx
	.seh_savereg rbx, 0x140
	mov [rbp + 0xc8], rdi
	.seh_savereg rdi, 0x148
	mov [rbp + 0xd0], rsi
	.seh_savereg rsi, 0x150
	.seh_endprologue
	mov [rbp - 0x50], rax
	mov [rbp - 0x48], rcx
	mov [rbp - 0x40], rdx
	mov rbx, gs:[0x188]
	mov [rbx + 0x90], rsp
	lea r10, KiServiceTable[rip]
	.globl KiSystemServiceUser
KiSystemServiceUser:
	movsxd r11, dword ptr [r10 + rax*4]
	add r10, r11
	.globl KiSystemServiceCopyStart
KiSystemServiceCopyStart:
	mov rax, [rsi + 0x70]
	mov [rdi + 0x70], rax
	.globl KiSystemServiceCopyEnd
KiSystemServiceCopyEnd:
	test dword ptr [rip + KiDynamicTraceMask], 1
	mov rax, r10
	AT KiSystemServiceCopyEnd, 0x26
	call rax
	nop
	inc dword ptr gs:[0x2eb8]
	.globl KiSystemServiceExit
KiSystemServiceExit:
	mov rbx, [rbp + 0xc0]
	mov rdi, [rbp + 0xc8]
	mov rsi, [rbp + 0xd0]
	cmp byte ptr [rbx + 0xc2], 0
	je 1f
	call KiInitiateUserApc
	nop
1:
	mov rcx, cr8
	test rcx, rcx
	jz 2f
	mov r10, [rbp + 0xe8]
	call KiBugCheckDispatch
	nop
2:
	mov r11, [rbp + 0xf8]
	mov rcx, [rbp + 0xe8]
	mov r9, [rbp + 0xd8]
	mov rsp, [rbp + 0x100]
	swapgs
	sysretq
	END

	BEGIN KiInitiateUserApc
	sub rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
	call KiDeliverApc
	nop
	add rsp, 0x28
	ret
	END

// Calls of services by the kernel itself: Zw functions come here.
	.globl KiServiceLinkage
	.p2align 4, 0xcc
KiServiceLinkage:
	ret

// Threads: a thread that does not run has its KSWITCH_FRAME on top of its stack,
// under it the frame of KiSwapContext.
	BEGIN KiSwapContext
	EXCEPTIONFRAME
	mov rbx, gs:[0x20]
	mov rdi, rcx
	mov rsi, rdx
	call SwapContext
	nop
	add rsp, 0x138
	ret
	END

	BEGIN SwapContext
	push rbp
	.seh_pushreg rbp
	sub rsp, 0x30
	.seh_stackalloc 0x30
	.seh_endprologue
// rsp is the KSWITCH_FRAME here.
SwapContext_switch:
	mov [rdi + 0x58], rsp
	mov rsp, [rsi + 0x58]
	mov rbp, [rsp + 0x30]
	add rsp, 0x38
	ret
	END

	.macro START name, callee
	BEGIN \name
	sub rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
	mov rcx, rbx
	mov rdx, rdi
	AT \name, 0x2f
	call \callee
	int3
	END
	.endm
	START KiStartSystemThread, PspSystemThreadStartup
	START KiStartUserThread, PspUserThreadStartup

	BEGIN KiIdleLoop
	sub rsp, 0x28
	.seh_stackalloc 0x28
	.seh_endprologue
1:	call PoIdle
	nop
	call KiRetireDpcList
	nop
	call SwapContext
	jmp 1b
	END

	.globl DbgBreakPointWithStatus
	.p2align 4, 0xcc
DbgBreakPointWithStatus:
	nop
	.globl RtlpBreakWithStatusInstruction
RtlpBreakWithStatusInstruction:
	int3
	ret

	.globl DbgBreakPoint
	.p2align 4, 0xcc
DbgBreakPoint:
	int3
	ret

	.globl __chkstk
	.p2align 4, 0xcc
__chkstk:
	ret

	.section .rdata, "dr"
	.globl KiServiceTable
	.p2align 4
KiServiceTable:
	.long 0, 0, 0, 0
	.data
	.globl KiDynamicTraceMask
	.p2align 3
KiDynamicTraceMask:
	.quad 0
