// The driver of chain-x64.s for ARM64.
	.text
	.globl Inner
Inner:
	ldr w0, [x0]
	ret

	.globl Middle
	.seh_proc Middle
Middle:
	stp x29, x30, [sp, #-48]!
	.seh_save_fplr_x 48
	str x19, [sp, #16]
	.seh_save_reg x19, 16
	.seh_endprologue
	bl Inner
	nop
	.seh_startepilogue
	ldr x19, [sp, #16]
	.seh_save_reg x19, 16
	ldp x29, x30, [sp], #48
	.seh_save_fplr_x 48
	.seh_endepilogue
	ret
	.seh_endproc

	.globl Outer
	.seh_proc Outer
Outer:
	stp x29, x30, [sp, #-80]!
	.seh_save_fplr_x 80
	.seh_endprologue
	bl Middle
	nop
	.seh_startepilogue
	ldp x29, x30, [sp], #80
	.seh_save_fplr_x 80
	.seh_endepilogue
	ret
	.seh_endproc
