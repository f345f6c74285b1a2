// The kernel's structures at the places of build 19041, so that its symbol file
// says where they are.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct _KAPC_STATE { u64 lists[4]; void *Process; };
struct _KTHREAD {
	u8 a[0x30]; void *StackLimit; void *StackBase; u8 b[0x58];
	struct _KAPC_STATE ApcState; // at 0x98
};
struct _CLIENT_ID { void *UniqueProcess, *UniqueThread; };
struct _ETHREAD { struct _KTHREAD Tcb; u8 a[0x478 - sizeof(struct _KTHREAD)]; struct _CLIENT_ID Cid; };
struct _EPROCESS {
	u8 a[0x440]; void *UniqueProcessId; u8 b[0x540 - 0x448]; void *InheritedFromUniqueProcessId;
	u8 c[0x5a8 - 0x548]; u8 ImageFileName[15];
};
struct _KPRCB { u8 a[0x7e98]; u8 DebuggerSavedIRQL; };

struct _EPROCESS process;
struct _ETHREAD thread;
struct _KPRCB prcb;
int DriverEntry(void) { return process.ImageFileName[0] + prcb.DebuggerSavedIRQL + (thread.Tcb.StackBase != 0); }
