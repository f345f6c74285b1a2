# A kernel of three functions: Trap is entered by a fault, as KiPageFault is, and
# calls Handler, which saves two registers and calls KeBugCheckEx.
	.text
	.globl KeBugCheckEx
	.p2align 4
KeBugCheckEx:
	movq %rcx, 8(%rsp)
	retq

	.globl Handler
	.seh_proc Handler
	.p2align 4
Handler:
	pushq %rbx
	.seh_pushreg %rbx
	pushq %rsi
	.seh_pushreg %rsi
	subq $0x28, %rsp
	.seh_stackalloc 0x28
	.seh_endprologue
	callq KeBugCheckEx
	nop
	addq $0x28, %rsp
	popq %rsi
	popq %rbx
	retq
	.seh_endproc

	.globl Trap
	.seh_proc Trap
	.p2align 4
Trap:
	.seh_pushframe @code
	pushq %rbp
	.seh_pushreg %rbp
	subq $0x158, %rsp
	.seh_stackalloc 0x158
	leaq 0x80(%rsp), %rbp
	.seh_setframe %rbp, 0x80
	.seh_endprologue
	callq Handler
	nop
	iretq
	.seh_endproc
