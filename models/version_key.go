package models

import (
	"fmt"
	"strings"
)

// versionKey turns a version into text whose order, byte by byte, is the order of versions, so that an index answers
// "the highest", "the highest under 0.1." and "the one before" without reading the others. Each part is written as its
// length in two hexadecimal digits and its digits without leading zeros: 0.10 is "00" and "0210". A shorter number is
// thus lower, and a version that another one begins with is lower than it (0 < 0.0 < 0.0.0 < 0.1), as text has it
// anyway. Parts have at most 128 digits.
//
// Two versions that differ only in leading zeros have the same key, as they are equal in the order.
func versionKey(v string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(v, ".") {
		digits := strings.TrimLeft(part, "0")
		fmt.Fprintf(&b, "%02x%s", len(digits), digits)
	}
	return b.String()
}

// afterKeys is higher than everything that can follow a key: keys are of 0-9 and a-f.
const afterKeys = "~"
