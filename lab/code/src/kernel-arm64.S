// The kernel's functions that are written in assembler, ARM64. An exception
// leaves a KTRAP_FRAME (0x150 bytes, ntddk.h) and other room above what the
// vector calls; a thread that does not run has its KSWITCH_FRAME (0x20) on top.
	.macro BEGIN name
	.globl \name
	.p2align 4
	.seh_proc \name
\name:
	.endm

	.macro END
	.seh_endproc
	.endm

// FRAME saves fp and lr, and registers from x19 on, in so many bytes.
	.macro FRAME size
	stp x29, x30, [sp, #-\size]!
	.seh_save_fplr_x \size
	mov x29, sp
	.seh_set_fp
	.seh_endprologue
	.endm

	.macro LEAVE size
	.seh_startepilogue
	ldp x29, x30, [sp], #\size
	.seh_save_fplr_x \size
	.seh_endepilogue
	ret
	.endm

// AT fills up with no-operations to an offset from a label.
	.macro AT name, offset
	.rept (\offset - (. - \name)) / 4
	nop
	.endr
	.endm

	.macro SAVEALL
	stp x29, x30, [sp, #-0x70]!
	.seh_save_fplr_x 0x70
	stp x19, x20, [sp, #0x10]
	.seh_save_regp x19, 0x10
	stp x21, x22, [sp, #0x20]
	.seh_save_regp x21, 0x20
	stp x23, x24, [sp, #0x30]
	.seh_save_regp x23, 0x30
	stp x25, x26, [sp, #0x40]
	.seh_save_regp x25, 0x40
	stp x27, x28, [sp, #0x50]
	.seh_save_regp x27, 0x50
	mov x29, sp
	.seh_set_fp
	.seh_endprologue
	.endm

	.macro RESTOREALL
	.seh_startepilogue
	ldp x27, x28, [sp, #0x50]
	.seh_save_regp x27, 0x50
	ldp x25, x26, [sp, #0x40]
	.seh_save_regp x25, 0x40
	ldp x23, x24, [sp, #0x30]
	.seh_save_regp x23, 0x30
	ldp x21, x22, [sp, #0x20]
	.seh_save_regp x21, 0x20
	ldp x19, x20, [sp, #0x10]
	.seh_save_regp x19, 0x10
	ldp x29, x30, [sp], #0x70
	.seh_save_fplr_x 0x70
	.seh_endepilogue
	ret
	.endm

	.text
// The vectors: what the processor enters. Each has 0x80 bytes.
	.p2align 11
	.macro VECTOR name, align, callee
	.globl \name
	.p2align \align
	.seh_proc \name
\name:
	.seh_trap_frame
	sub sp, sp, #0x220
	.seh_stackalloc 0x220
	.seh_endprologue
	stp x0, x1, [sp, #0x60]
	stp x2, x3, [sp, #0x70]
	mrs x2, esr_el1
	mrs x3, far_el1
	mov x0, sp
	AT \name, 0x58
	bl \callee
	nop
	eret
	END
	.endm
	VECTOR KiArm64ExceptionVectors, 11, KzSynchronousException
	VECTOR KiKernelSp0InterruptHandler, 7, KiInterruptException
	VECTOR KiKernelSp0FastInterruptHandler, 7, KiInterruptException
	VECTOR KiKernelSp0SystemErrorHandler, 7, KxMcheckAbort
	VECTOR KiKernelExceptionHandler, 7, KiStackOverflowException
	VECTOR KiUserExceptionHandler, 10, KzSynchronousException
	VECTOR KiUserInterruptHandler, 7, KiInterruptException
	VECTOR KiSystemServiceEntry, 7, KiSystemService

	BEGIN KzSynchronousException
	FRAME 0x60
	mov x19, x0
	AT KzSynchronousException, 0x20
	bl KiSynchronousException
	nop
	LEAVE 0x60
	END

	BEGIN KiSystemService
	stp x29, x30, [sp, #-0x40]!
	.seh_save_fplr_x 0x40
	stp x19, x20, [sp, #0x10]
	.seh_save_regp x19, 0x10
	stp x21, x22, [sp, #0x20]
	.seh_save_regp x21, 0x20
	mov x29, sp
	.seh_set_fp
	.seh_endprologue
	ldr x19, [x18, #0x988]
	adrp x9, KiServiceTable
	add x9, x9, :lo12:KiServiceTable
	.globl KiSystemServiceCopyStart
KiSystemServiceCopyStart:
	ldp x10, x11, [x20]
	stp x10, x11, [x21]
	.globl KiSystemServiceCopyEnd
KiSystemServiceCopyEnd:
	ldrsw x10, [x9, x8, lsl #2]
	add x9, x9, x10
	AT KiSystemServiceCopyEnd, 0x34
	blr x9
	nop
	.globl KiSystemServiceExit
KiSystemServiceExit:
	ldrb w10, [x19, #0xc2]
	cbz w10, 1f
	bl KiInitiateUserApc
	nop
1:	mrs x10, tpidrro_el0
	cbz x10, 2f
	bl KiBugCheckDispatch
	nop
2:	.seh_startepilogue
	ldp x21, x22, [sp, #0x20]
	.seh_save_regp x21, 0x20
	ldp x19, x20, [sp, #0x10]
	.seh_save_regp x19, 0x10
	ldp x29, x30, [sp], #0x40
	.seh_save_fplr_x 0x40
	.seh_endepilogue
	ret
	END

	BEGIN KeBugCheckEx
	stp x29, x30, [sp, #-0x40]!
	.seh_save_fplr_x 0x40
	mov x29, sp
	.seh_set_fp
	.seh_endprologue
	stp x1, x2, [sp, #0x10]
	stp x3, x4, [sp, #0x20]
	str x0, [sp, #0x30]
	bl RtlCaptureContext
	ldp x1, x2, [sp, #0x10]
	ldr x0, [sp, #0x30]
	bl KeBugCheck2
	brk #0xf000
	END

	.globl RtlCaptureContext
	.p2align 4
RtlCaptureContext:
	stp x2, x3, [x0, #0x18]
	ret

	.macro DISPATCH name, callee
	BEGIN \name
	SAVEALL
	str x30, [x18, #0x988]
	bl \callee
	nop
	RESTOREALL
	END
	.endm
	DISPATCH KiBugCheckDispatch, KeBugCheckEx
	DISPATCH KiExceptionDispatch, KiDispatchException

	BEGIN KiSwapContext
	SAVEALL
	mov x19, x0
	mov x20, x1
	bl SwapContext
	nop
	RESTOREALL
	END

	BEGIN SwapContext
	stp x29, x30, [sp, #-0x10]!
	.seh_save_fplr_x 0x10
	sub sp, sp, #0x10
	.seh_stackalloc 0x10
	.seh_endprologue
// sp is the KSWITCH_FRAME here.
SwapContext_switch:
	mov x9, sp
	str x9, [x19, #0x58]
	ldr x9, [x20, #0x58]
	mov sp, x9
	.seh_startepilogue
	add sp, sp, #0x10
	.seh_stackalloc 0x10
	ldp x29, x30, [sp], #0x10
	.seh_save_fplr_x 0x10
	.seh_endepilogue
	ret
	END

// ONSTACK calls on another stack; fp finds the way back.
	.macro ONSTACK name, callee, offset
	BEGIN \name
	stp x29, x30, [sp, #-0x20]!
	.seh_save_fplr_x 0x20
	str x19, [sp, #0x10]
	.seh_save_reg x19, 0x10
	mov x29, sp
	.seh_set_fp
	.seh_endprologue
	ldr x9, [x18, #\offset]
	mov sp, x9
	bl \callee
	nop
	mov sp, x29
	.seh_startepilogue
	ldr x19, [sp, #0x10]
	.seh_save_reg x19, 0x10
	ldp x29, x30, [sp], #0x20
	.seh_save_fplr_x 0x20
	.seh_endepilogue
	ret
	END
	.endm
	ONSTACK KxSwitchStackAndPlayInterrupt, KiPlayInterrupt, 0x920
	ONSTACK KxRetireDpcList, KiRetireDpcList, 0x928
	ONSTACK KxSwitchStackForException, KiDispatchExceptionOnExceptionStack, 0x930

	.macro START name, callee
	BEGIN \name
	FRAME 0x10
	mov x0, x19
	mov x1, x20
	bl \callee
	brk #0xf000
	END
	.endm
	START KiStartSystemThread, PspSystemThreadStartup
	START KiStartUserThread, PspUserThreadStartup

	BEGIN KiInitiateUserApc
	FRAME 0x10
	bl KiDeliverApc
	nop
	LEAVE 0x10
	END

	BEGIN KiDispatchInterruptContinue
	FRAME 0x20
	bl KxRetireDpcList
	nop
	LEAVE 0x20
	END

	BEGIN KiIdleLoop
	FRAME 0x20
1:	bl PoIdle
	nop
	bl KiRetireDpcList
	nop
	bl SwapContext
	b 1b
	END

	.globl DbgBreakPointWithStatus
	.p2align 4
DbgBreakPointWithStatus:
	nop
	.globl RtlpBreakWithStatusInstruction
RtlpBreakWithStatusInstruction:
	brk #0xf000
	ret

	.globl DbgBreakPoint
	.p2align 4
DbgBreakPoint:
	brk #0xf000
	ret

	.globl __chkstk
	.p2align 4
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
