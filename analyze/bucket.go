package analyze

import (
	"crypto/md5"
	"strings"
	"unicode/utf16"

	"bugcheck/win"
)

// BucketHash is FAILURE_ID_HASH: the GUID, little-endian, of MD5 over the
// UTF-16LE text of the lower-case bucket behind its space, "km" for kernel
// dumps, "um" for user-mode ones.
func BucketHash(space, bucket string) string {
	var b []byte
	for _, c := range utf16.Encode([]rune(strings.ToLower(space + ":" + bucket))) {
		b = append(b, byte(c), byte(c>>8))
	}
	return win.GUID(md5.Sum(b)).String()
}

// verified adds VRF to a class when driver verifier was at work.
func verified(f *Facts, class string) string {
	if f.Verifier || onVerifierPath(f) {
		return class + "_VRF"
	}
	return class
}
