package release

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
	"testing/fstest"
)

// BenchmarkCheckArchive checks a package of 64 MiB, against copying its bytes while hashing them.
func BenchmarkCheckArchive(b *testing.B) {
	noise := make([]byte, 64<<20)
	_, _ = rand.Read(noise)
	text := []byte(strings.Repeat("package main // a line of a program\n", 64<<20/36))
	for name, data := range map[string][]byte{"noise": noise, "text": text} {
		sum, _ := Checksum(bytes.NewReader(data))
		m := &Metadata{APIVersion: APIVersion, Name: "app", Version: "1", Files: map[string]string{"f": sum}}
		m.Normalise()
		var out bytes.Buffer
		if err := WriteArchive(&out, m, fstest.MapFS{"f": {Data: data, Mode: 0o644}}); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/check", func(b *testing.B) {
			b.SetBytes(int64(out.Len()))
			for b.Loop() {
				if _, err := CheckArchive(bytes.NewReader(out.Bytes()), m.ID(), DefaultLimits); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/write", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if err := WriteArchive(io.Discard, m, fstest.MapFS{"f": {Data: data, Mode: 0o644}}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/copy", func(b *testing.B) {
			b.SetBytes(int64(out.Len()))
			for b.Loop() {
				_, _ = io.Copy(sha256.New(), bytes.NewReader(out.Bytes()))
			}
		})
	}
}
