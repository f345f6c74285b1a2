package analyze

import "fmt"

// Bucket classes of stop codes that have no rule beside it.

// class20, KERNEL_APC_PENDING_DURING_EXIT: P1 the APC, P2 the thread's APC
// disable count as a 16-bit number, which must be zero.
func class20(f *Facts) string {
	class := "0x20"
	if f.Parameters[0] == 0 {
		class += "_NULLAPC"
	}
	if int16(f.Parameters[1]) < 0 {
		class += "_KAPC_NEGATIVE"
	}
	return verified(f, class)
}

// class4E, PFN_LIST_CORRUPT: P1 says which list.
func class4E(f *Facts) string { return verified(f, fmt.Sprintf("0x4E_%x", f.Parameters[0])) }
