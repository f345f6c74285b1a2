// A function with another inlined in it, which reads through a pointer.
static __forceinline int ReadField(const volatile int *field)
{
	return *field + 1;
}

__declspec(dllexport) int DriverEntry(const volatile int *object)
{
	return ReadField(object + 4) * 3;
}
