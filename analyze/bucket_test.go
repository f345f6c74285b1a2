package analyze

import "testing"

// The vectors are published outputs of the debugger.
func TestBucketHash(t *testing.T) {
	for _, tt := range []struct{ bucket, want string }{
		{"AV_ndis!ndisQueueIoWorkItem", "{10686423-afa1-4852-ad1b-9324ac44ac96}"},
		{"AV_myfault!unknown_function", "{9745090a-9bce-ccba-c096-ca6e9ca04c64}"},
		{"0x13a_12_Driver!CreateRandomFile", "{ea91b8db-b8d2-b485-3fb8-7116e18cbc08}"},
		{"0x13C_nt!PspThreadDelete", "{6fe88179-1572-f8e2-aeff-cd9c600ecf3a}"},
		{"AV_R_(null)_win32kbase!WmsgpConnect", "{ece26be9-101a-e2cf-72a9-a92359219248}"},
		{"0x19_22_Driver!unknown_function", "{13274a29-c6c5-4e24-cb5a-0988e703af11}"},
	} {
		if got := BucketHash("km", tt.bucket); got != tt.want {
			t.Errorf("BucketHash(%q) = %s, want %s", tt.bucket, got, tt.want)
		}
	}
}
