package win

import "fmt"

// majorFunctions are the IRP_MJ_ codes (wdm.h).
var majorFunctions = [...]string{
	"CREATE", "CREATE_NAMED_PIPE", "CLOSE", "READ", "WRITE", "QUERY_INFORMATION", "SET_INFORMATION", "QUERY_EA", "SET_EA",
	"FLUSH_BUFFERS", "QUERY_VOLUME_INFORMATION", "SET_VOLUME_INFORMATION", "DIRECTORY_CONTROL", "FILE_SYSTEM_CONTROL",
	"DEVICE_CONTROL", "INTERNAL_DEVICE_CONTROL", "SHUTDOWN", "LOCK_CONTROL", "CLEANUP", "CREATE_MAILSLOT",
	"QUERY_SECURITY", "SET_SECURITY", "POWER", "SYSTEM_CONTROL", "DEVICE_CHANGE", "QUERY_QUOTA", "SET_QUOTA", "PNP",
}

// MajorFunction names an IRP_MJ_ code: IRP_MJ_DEVICE_CONTROL.
func MajorFunction(n uint8) string {
	if int(n) < len(majorFunctions) {
		return "IRP_MJ_" + majorFunctions[n]
	}
	return fmt.Sprintf("IRP_MJ %d", n)
}
