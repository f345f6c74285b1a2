// Drivers of makers that do not exist: -DIMAGE_name picks one. Each does a piece
// of work that can go wrong in the way that the lab needs.
#include "lab.h"

typedef struct Node Node;
struct Node {
	Node *volatile next;
	volatile u32 length, flags;
	u8 *volatile data;
	Fn *volatile done;
};
static Node *volatile queue;
static volatile u64 counter;

#define ENTRY                                                                  \
	_Pragma("code_seg(\"INIT\")") FN(DriverEntry, 8, 2, IMPORT(IoCreateDevice)) \
	_Pragma("code_seg()")

// LOAD reads through a pointer at a place that the lab can find.
#if defined(__x86_64__)
#define LOAD(mark, value, from) __asm__ volatile(MARK(mark) "movq 8(%%rsi), %%rax" : "=a"(value) : "S"(from) : "memory")
#else
#define LOAD(mark, value, from)                                                \
	{                                                                          \
		register void *x20 __asm__("x20") = (void *)(from);                     \
		register u64 x9 __asm__("x9");                                         \
		__asm__ volatile(MARK(mark) "ldr x9, [x20, #8]" : "=r"(x9) : "r"(x20) : "memory"); \
		value = x9;                                                            \
	}
#endif

#if IMAGE_labnet
ENTRY
// LabnetDrainReceiveRing takes what the card has received off its ring.
NOINLINE u64 LabnetDrainReceiveRing(u64 ring, u64 limit, u64 c, u64 d)
{
	volatile u64 seen[10];
	u64 sum = c ^ d, value;
	for (Node *n = (Node *)ring; limit--; n = n->next) {
		LOAD(LabnetDrainReceiveRing_fault, value, n);
		seen[limit & 7] = value;
		sum += value;
	}
	return sum + seen[0];
}
FN(LabnetInterruptDpc, 12, 3, CALL(LabnetDrainReceiveRing) IMPORT(NdisMIndicateReceiveNetBufferLists))
// LabnetInterrupt waits until the card says that it has heard.
NOINLINE u64 LabnetInterrupt(u64 a, u64 b, u64 c, u64 d)
{
	volatile u64 status[4];
	do {
		status[counter & 3] = a ^ b ^ c ^ d;
		__asm__ volatile(MARK(LabnetInterrupt_spin) "nop");
	} while (++counter);
	return status[0];
}
FN(LabnetSendNetBufferLists, 14, 4, IMPORT(KeAcquireSpinLockRaiseToDpc) INDIRECT(0x10))
FN(LabnetSetPower, 9, 2, IMPORT(KeWaitForSingleObject))
#pragma code_seg("PAGE")
FN(LabnetInitializeEx, 40, 4, IMPORT(ExAllocatePoolWithTag))
#pragma code_seg()
// LabnetWatchdogDpc runs too long.
NOINLINE u64 LabnetWatchdogDpc(u64 a, u64 b, u64 c, u64 d)
{
	volatile u64 room[6];
	for (;;) {
		__asm__ volatile(MARK(LabnetWatchdogDpc_spin) "nop");
		room[counter++ & 3] = a ^ b ^ c ^ d;
	}
}
#elif IMAGE_labdisp
ENTRY
FN(LabdispResetFromTimeout, 14, 3, IMPORT(KeStallExecutionProcessor))
FN(LabdispInterruptRoutine, 8, 2, INDIRECT(0x18))
FN(LabdispDpcRoutine, 9, 2, INDIRECT(0x20))
FN(LabdispSubmitCommand, 12, 3, INDIRECT(0x28))
#pragma code_seg("PAGE")
FN(LabdispStartDevice, 30, 4, IMPORT(ExAllocatePoolWithTag))
#pragma code_seg()
#elif IMAGE_labflt
ENTRY
#pragma code_seg("PAGE")
// LabfltFreeContext gives a block back; when told twice, it does so twice.
NOINLINE u64 LabfltFreeContext(u64 a, u64 b, u64 c, u64 d)
{
	__declspec(dllimport) Fn ExFreePoolWithTag;
	volatile u64 room[3];
	room[0] = c;
	u64 s = ExFreePoolWithTag(a, 0x746c664c, c, d);
	if (b & 1)
		s += ExFreePoolWithTag(a, 0x746c664c, c, d);
	return s + room[0];
}
FN(LabfltPreCreate, 26, 4, CALL(LabfltFreeContext) CALL(LabfltScanName))
FN(LabfltPostCreate, 16, 3, CALL(LabfltFreeContext))
FN(LabfltUnload, 6, 1, CALL(LabfltFreeContext))
#pragma code_seg()
// LabfltRemoveEntry takes an entry off a list whose links it checks.
NOINLINE u64 LabfltRemoveEntry(Node *entry, u64 b, u64 c, u64 d)
{
	volatile u64 room[5];
	room[0] = b ^ c ^ d;
	if (entry->next->next != entry)
		FAILFAST(LabfltRemoveEntry_fault, 3);
	queue = entry->next;
	return room[0];
}
NOINLINE u64 LabfltScanName(u64 a, u64 b, u64 c, u64 d)
{
	volatile u64 room[20];
	u64 value;
	LOAD(LabfltScanName_fault, value, a);
	room[0] = value;
	__asm__ volatile("" : : "r"(room) : "memory");
	return LabfltRemoveEntry((Node *)a, b, c, d) + room[1];
}
FN(LabfltWorker, 10, 2, CALL(LabfltScanName) IMPORT(KeWaitForSingleObject))
#elif IMAGE_labusb
ENTRY
FN(LabusbDispatchPower, 12, 3, CALL(LabusbSetPower) IMPORT(PoCallDriver))
// LabusbSetPower keeps the request pending for an answer that does not come.
FN(LabusbSetPower, 14, 3, IMPORT(IofCallDriver) IMPORT(KeWaitForSingleObject))
FN(LabusbCompletion, 8, 2, INDIRECT(0x18) IMPORT(IofCompleteRequest))
FN(LabusbWorker, 9, 2, CALL(LabusbSetPower))
FN(LabusbReadPipe, 16, 4, IMPORT(IofCallDriver))
#pragma code_seg("PAGE")
FN(LabusbAddDevice, 24, 3, IMPORT(IoCreateDevice))
#pragma code_seg()
#endif
