// The kernel's variables, with the structures of one build (types.h comes from
// layouts.tsv): this file alone gives the symbol file its types.
#include "lab.h"
#include "types.h"

typedef struct _LIST_ENTRY List;
#define LIST(name) List name = {0}
#define WORD(name) u64 name = 0
#define LONG(name) u32 name = 0
#define BYTES(name, size) u8 __attribute__((aligned(16))) name[size] = {0}

// It stands first, so that the first type of the symbol file is an array: some readers
// take a structure there for no type.
BYTES(KdDebuggerDataBlock, 0x440);
LIST(PsLoadedModuleList);
LIST(PsActiveProcessHead);
LIST(ExpSystemResourcesList);
LIST(IopErrorLogListHead);
LIST(KeBugCheckCallbackListHead);
LIST(KeBugCheckReasonCallbackListHead);
LIST(CmpHiveListHead);
LIST(MmLoadedUserImageList);
LIST(HandleTableListHead);
LIST(PopIrpList);
LIST(KdpDebuggerDataListHead);

#ifdef HAS_DBGKD_GET_VERSION64
struct _DBGKD_GET_VERSION64 KdVersionBlock = {0};
#else
BYTES(KdVersionBlock, 0x28);
#endif
u8 KdpDataBlockEncoded = 0;
u8 KdDebuggerEnabled = 0, KdDebuggerNotPresent = 1, KdPitchDebugger = 1;
u64 KiBugCheckData[5] = {0};
WORD(KiBugCheckDriver);
LONG(KiBugCheckActive);
WORD(KiWaitNever);
WORD(KiWaitAlways);
u64 KiProcessorBlock[2048] = {0};
LONG(KeNumberProcessors);
LONG(KeTimeIncrement);
WORD(KeLoaderBlock);
WORD(KeTickCount);
LONG(KiDPCTimeout);
WORD(KeBootTime);
WORD(KiInitialPCR);

char NtBuildLab[64] = {0};
char NtBuildLabEx[128] = {0};
LONG(NtBuildNumber);
WORD(CmNtCSDVersion);
LONG(NtGlobalFlag);

WORD(PspCidTable);
WORD(PsInitialSystemProcess);
WORD(PsIdleProcess);
WORD(PsNtosImageBase);
WORD(PsNtosImageEnd);
#ifdef HAS_EPROCESS
u8 __attribute__((aligned(64))) KiInitialProcess[sizeof(struct _EPROCESS)] = {0};
u8 __attribute__((aligned(64))) KiInitialThread[0xa00] = {0};
#endif

WORD(MmUnloadedDrivers);
LONG(MmLastUnloadedDriver);
WORD(MmPhysicalMemoryBlock);
WORD(MmPfnDatabase);
WORD(MmHighestUserAddress);
WORD(MmSystemRangeStart);
WORD(MmUserProbeAddress);
WORD(MmSizeOfPagedPoolInBytes);
WORD(MmPagedPoolCommit);
WORD(MmSizeOfNonPagedPoolInBytes);
LONG(MmHighestPhysicalPage);
WORD(MmBadPointer);
LONG(MmSpecialPoolTag);
LONG(MmTriageActionTaken);
WORD(MmTotalCommitLimit);
WORD(MmTotalCommittedPages);
WORD(MmAvailablePages);
WORD(MmPagedPoolEnd);
WORD(MmNonPagedPoolStart);
WORD(MmPteBase);
BYTES(MmVerifierData, 0xa0);
LONG(KernelVerifier);
#ifdef HAS_MI_SYSTEM_INFORMATION
struct _MI_SYSTEM_INFORMATION __attribute__((aligned(64))) MiState = {0};
#else
BYTES(MiState, 0xc000);
#endif
BYTES(MiSystemPartition, 0x8000); // 26100's on ARM64 has some 0x6000

WORD(PoolTrackTable);
BYTES(ExPoolTagTables, 0x800); // one a processor
WORD(PoolTrackTableSize);
WORD(PoolTrackTableExpansion);
WORD(PoolTrackTableExpansionSize);
WORD(PoolBigPageTable);
WORD(PoolBigPageTableSize);
BYTES(PoolVector, 0x40);
#ifdef HAS_EX_POOL_HEAP_MANAGER_STATE
struct _EX_POOL_HEAP_MANAGER_STATE __attribute__((aligned(64))) ExPoolState = {0};
#else
BYTES(ExPoolState, 0xa000);
#endif
BYTES(RtlpHpHeapGlobals, 0x80);

WORD(ObpRootDirectoryObject);
WORD(ObpTypeObjectType);
u64 ObTypeIndexTable[256] = {0};
u8 ObHeaderCookie = 0;
WORD(PsProcessType);
WORD(PsThreadType);
WORD(IoDriverObjectType);
WORD(IoDeviceObjectType);
WORD(IoFileObjectType);

WORD(KdPrintCircularBuffer);
WORD(KdPrintWritePointer);
LONG(KdPrintRolloverCount);
LONG(KdPrintBufferSize);
LONG(IopNumTriageDumpDataBlocks);
u64 IopTriageDumpDataBlocks[64] = {0};
BYTES(EtwpDebuggerData, 0x20);
BYTES(HvlEnlightenments, 0x10);
WORD(PopIrpWorkerCount);
WORD(WheapErrorSource);
