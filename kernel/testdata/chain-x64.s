# A driver of three functions whose frames are known to the byte: Outer calls
# Middle, which calls Inner, which reads through rcx.
	.text
	.globl Inner
Inner:
	movl (%rcx), %eax
	retq

	.globl Middle
	.seh_proc Middle
Middle:
	pushq %rsi
	.seh_pushreg %rsi
	subq $0x20, %rsp
	.seh_stackalloc 0x20
	.seh_endprologue
	callq Inner
	nop
	addq $0x20, %rsp
	popq %rsi
	retq
	.seh_endproc

	.globl Outer
	.seh_proc Outer
Outer:
	pushq %rbx
	.seh_pushreg %rbx
	subq $0x40, %rsp
	.seh_stackalloc 0x40
	.seh_endprologue
	callq Middle
	nop
	addq $0x40, %rsp
	popq %rbx
	retq
	.seh_endproc
