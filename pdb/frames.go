package pdb

// FrameData says how to unwind a stretch of x86 code (FRAMEDATA, cvinfo.h).
type FrameData struct {
	RVA           uint32 // where the stretch begins
	Size          uint32 // of the stretch, bytes
	Locals        uint32 // bytes
	Params        uint32 // bytes
	StackMax      uint32 // bytes
	Prolog        uint16 // bytes of the stretch
	SavedRegs     uint16 // bytes
	SEH, CPPEH    bool
	FunctionStart bool
	Program       string // postfix: "$T0 .raSearch = $eip $T0 ^ = $esp $T0 4 + ="
}

// FPO says how to unwind a stretch of x86 code that has no program (FPO_DATA,
// winnt.h).
type FPO struct {
	RVA    uint32 // where the function begins
	Size   uint32 // of the function, bytes
	Locals uint32 // bytes
	Params uint32 // bytes
	Prolog uint8  // bytes
	Regs   uint8  // registers saved
	SEH    bool
	UseBP  bool
	Type   uint8 // FRAME_FPO 0, FRAME_TRAP 1, FRAME_TSS 2, FRAME_NONFPO 3
}
