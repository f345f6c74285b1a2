// myfault.sys: the driver of NotMyFault, as this project knows its deeds: each
// fault is really there. Names of functions are ours: the driver that is
// published has no symbols.
#include "lab.h"

typedef struct {
	u8 MajorFunction, MinorFunction, Flags, Control;
	u32 pad;
	u64 OutputBufferLength, InputBufferLength, IoControlCode;
} IO_STACK_LOCATION;

typedef struct {
	u8 head[0x30];
	u32 Status, pad;
	u64 Information;
	u8 body[0xb8 - 0x40];
	IO_STACK_LOCATION *CurrentStackLocation;
} IRP; // dt nt!_IRP

typedef struct {
	u8 head[0x70];
	void *MajorFunction[28];
} DRIVER_OBJECT; // dt nt!_DRIVER_OBJECT

typedef struct KDPC KDPC;

#define API __declspec(dllimport)
API u8 *ExAllocatePoolWithTag(u64 type, u64 size, u32 tag);
API void ExFreePoolWithTag(void *block, u32 tag);
API u64 IoCreateDevice(DRIVER_OBJECT *driver, u64 extension, void *name, u64 type);
API void KeInitializeDpc(KDPC *dpc, void *routine, void *context);
API void KeInsertQueueDpc(KDPC *dpc, void *one, void *two);
API void IofCompleteRequest(IRP *irp, u64 boost);
API void KfRaiseIrql(u64 irql);
API u8 NtReadFile[];

enum { NonPagedPool, PagedPool, Block = 2048 };
static u64 dpc[8];
static u8 *volatile first, *volatile second;
static volatile u64 spins;

#if defined(__x86_64__)
#define RAISE(level) __asm__ volatile("mov %0, %%cr8" : : "r"((u64)(level)) : "memory")
#define READ(mark, value, from) __asm__ volatile(MARK(mark) "movl (%%rbx), %%eax" : "=a"(value) : "b"(from) : "memory")
#define WRITE(mark, to, value) __asm__ volatile(MARK(mark) "movb %%al, (%%rbx)" : : "b"(to), "a"(value) : "memory")
#define BREAK(mark) __asm__ volatile(MARK(mark) "int3" : : : "memory")
#else
#define RAISE(level) KfRaiseIrql(level)
#define READ(mark, value, from)                                                \
	{                                                                          \
		register void *x19 __asm__("x19") = (void *)(from);                     \
		register u32 w8 __asm__("w8");                                         \
		__asm__ volatile(MARK(mark) "ldr w8, [x19]" : "=r"(w8) : "r"(x19) : "memory"); \
		value = w8;                                                            \
	}
#define WRITE(mark, to, value)                                                 \
	{                                                                          \
		register void *x19 __asm__("x19") = (void *)(to);                       \
		register u32 w8 __asm__("w8") = (value);                                \
		__asm__ volatile(MARK(mark) "strb w8, [x19]" : : "r"(x19), "r"(w8) : "memory"); \
	}
#define BREAK(mark) __asm__ volatile(MARK(mark) "brk #0xf000" : : : "memory")
#endif

// HighIrqlFault frees a block of paged pool, then reads upward from it at
// DISPATCH_LEVEL, a page at a time, until a page is not there.
NOINLINE u64 HighIrqlFault(u64 code)
{
	volatile u32 last[6];
	u8 *p = ExAllocatePoolWithTag(PagedPool, Block, 0x746c7546);
	u32 value;
	ExFreePoolWithTag(p, 0);
	RAISE(2);
	for (;; p += 0x1000) {
		READ(HighIrqlFault_fault, value, p);
		last[code & 3] = value;
	}
}

// BufferOverflow writes past the end of a block of nonpaged pool.
NOINLINE u64 BufferOverflow(u64 code)
{
	u8 *p = ExAllocatePoolWithTag(NonPagedPool, Block, 0x746c7546);
	for (u64 i = 0; i < Block + 0x200; i++)
		WRITE(BufferOverflow_fault, p + i, 0x4f);
	return code;
}

// CodeOverwrite writes over the first byte of a function of the kernel.
NOINLINE u64 CodeOverwrite(u64 code)
{
	volatile u64 room[4];
	room[0] = code;
	WRITE(CodeOverwrite_fault, NtReadFile, 0xcc);
	return room[0];
}

// StackTrash zeroes past its local buffer, over its own return address.
NOINLINE u64 StackTrash(u64 code)
{
	volatile u64 buffer[16];
	volatile u64 *end = buffer;
	buffer[1] = code;
	__asm__ volatile("" : "+r"(end) : : "memory");
	for (u64 i = 0; i < 48; i++)
		*end++ = 0;
	return buffer[0];
}

// HighIrqlUser leaves the processor at DISPATCH_LEVEL when it returns to the user.
NOINLINE u64 HighIrqlUser(u64 code)
{
	RAISE(2);
	return code;
}

// StackOverflow calls itself with about 1 KiB a call.
NOINLINE u64 StackOverflow(u64 depth)
{
	volatile u64 room[124];
	for (u64 i = 0; i < 124; i += 31)
		room[i] = depth;
	return StackOverflow(depth + 1) + room[depth & 63];
}

NOINLINE u64 Breakpoint(u64 code)
{
	volatile u64 room[3];
	room[0] = code;
	BREAK(Breakpoint_fault);
	return room[0];
}

NOINLINE u64 DoubleFree(u64 code)
{
	u8 *p = ExAllocatePoolWithTag(NonPagedPool, Block, 0x746c7546);
	ExFreePoolWithTag(p, 0);
	ExFreePoolWithTag(p, 0);
	return code;
}

// HangIrp never completes the request.
NOINLINE u64 HangIrp(IRP *irp)
{
	irp->CurrentStackLocation->Control |= 1;
	return 0x103;
}

// HangDpcRoutine runs at DISPATCH_LEVEL and does not end.
NOINLINE void HangDpcRoutine(KDPC *self, void *context, void *one, void *two)
{
	volatile u64 room[5];
	for (;;) {
		__asm__ volatile(MARK(HangDpcRoutine_spin) "nop");
		room[spins++ & 3] = (u64)self ^ (u64)context ^ (u64)one ^ (u64)two;
	}
}

NOINLINE u64 HangDpc(u64 code)
{
	KeInitializeDpc((KDPC *)dpc, HangDpcRoutine, 0);
	KeInsertQueueDpc((KDPC *)dpc, 0, 0);
	return code;
}

NOINLINE u64 LeakPaged(u64 size)
{
	first = ExAllocatePoolWithTag(PagedPool, size, 0x6b61654c);
	return first ? 0 : 0xc000009a;
}

NOINLINE u64 LeakNonPaged(u64 size)
{
	second = ExAllocatePoolWithTag(NonPagedPool, size, 0x6b61654c);
	return second ? 0 : 0xc000009a;
}

// MyfaultDeviceControl does what the control code says.
NOINLINE u64 MyfaultDeviceControl(void *device, IRP *irp, u64 code, u64 size)
{
	volatile u64 room[11];
	room[0] = code;
	room[10] = (u64)device;
	__asm__ volatile("" : : "r"(room) : "memory");
	switch (code >> 2 & 0xfff) {
	case 0x000: return BufferOverflow(code) + room[0];
	case 0x001: return LeakPaged(size) + room[0];
	case 0x002: return CodeOverwrite(code) + room[0];
	case 0x003: return StackTrash(code) + room[0];
	case 0x004: return HighIrqlUser(code) + room[0];
	case 0x005: return StackOverflow(0) + room[0];
	case 0x006: return HighIrqlFault(code) + room[0];
	case 0x007: return Breakpoint(code) + room[0];
	case 0x008: return DoubleFree(code) + room[0];
	case 0x009: return HangIrp(irp) + room[0];
	case 0x00a: return HangDpc(code) + room[0];
	case 0x00b: return LeakNonPaged(size) + room[0];
	}
	return 0xc0000010;
}

// MyfaultDispatch is the driver's entry for every request.
NOINLINE u32 MyfaultDispatch(void *device, IRP *irp)
{
	IO_STACK_LOCATION *here = irp->CurrentStackLocation;
	u64 status = 0;
	if (here->MajorFunction == 14)
		status = MyfaultDeviceControl(device, irp, here->IoControlCode, here->InputBufferLength);
	if (status == 0x103)
		return 0x103;
	irp->Status = (u32)status;
	irp->Information = 0;
	IofCompleteRequest(irp, 0);
	return (u32)status;
}

#pragma code_seg("PAGE")
NOINLINE void MyfaultUnload(DRIVER_OBJECT *driver)
{
	ExFreePoolWithTag(first, 0);
	ExFreePoolWithTag(driver, 0);
}

#pragma code_seg("INIT")
u32 DriverEntry(DRIVER_OBJECT *driver, void *path)
{
	for (int i = 0; i < 28; i++)
		driver->MajorFunction[i] = MyfaultDispatch;
	*(void **)((u8 *)driver + 0x68) = MyfaultUnload;
	return (u32)IoCreateDevice(driver, 0, path, 0x8336);
}
