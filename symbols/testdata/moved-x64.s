# Home has a part apart from it, behind the public symbol of another function, as
# rarely executed code has in Microsoft's images.
	.text
	.globl Home
	.seh_proc Home
Home:
	subq $0x28, %rsp
	.seh_stackalloc 0x28
	.seh_endprologue
	callq Other
	nop
	.globl Decoy
Decoy:
	nop
	.seh_startchained
	.seh_endprologue
Part:
	callq Other
	nop
	.seh_endchained
	addq $0x28, %rsp
	retq
	.seh_endproc

	.globl Other
	.p2align 4
Other:
	retq
