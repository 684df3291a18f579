package logs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// writeSplit writes text in pieces of random sizes.
func writeSplit(t testing.TB, w io.Writer, text string, random *rand.Rand) {
	t.Helper()
	for len(text) > 0 {
		n := 1 + random.IntN(min(len(text), 1+random.IntN(40)))
		_, err := io.WriteString(w, text[:n])
		require.NoError(t, err)
		text = text[n:]
	}
}

func masked(t testing.TB, secrets *Secrets, text string, random *rand.Rand) string {
	t.Helper()
	var out bytes.Buffer
	m := secrets.Masker(&out)
	writeSplit(t, m, text, random)
	require.NoError(t, m.Close())
	return out.String()
}

func TestMask(t *testing.T) {
	for _, test := range []struct {
		name    string
		secrets []string
		in, out string
	}{
		{"whole", []string{"hunter22"}, "the password is hunter22.", "the password is ***."},
		{"alone", []string{"hunter22"}, "hunter22", "***"},
		{"twice", []string{"hunter22"}, "hunter22hunter22", "******"},
		{"beginning again", []string{"aab-aac"}, "aab-aab-aac", "aab-***"},
		{"overlapping", []string{"abcdef", "defghi"}, "xabcdefghix", "x***x"},
		{"one within another", []string{"bcde", "abcdefg"}, "abcdefg abcdeff", "*** a***ff"},
		{"too short", []string{"abc", "ab", "a", ""}, "abc ab a", "abc ab a"},
		{"four bytes", []string{"abcd"}, "abcd", "***"},
		{"white space around", []string{" hunter22\n"}, "[hunter22]", "[***]"},
		{"none", nil, "hunter22", "hunter22"},
		{"lines", []string{"first line\nsecond line"}, "a first line\nsecond line b", "a *** b"},
		{"one of its lines", []string{"first line\nsecond line"}, "only second line b", "only *** b"},
		{"lines of a terminal", []string{"ab12\ncd34"}, "ab12\r\ncd34", "***"},
		{"not UTF-8", []string{"a\xff\xfe\x00b"}, "_a\xff\xfe\x00b_", "_***_"},
		{"in a URL", []string{"p@ss w/rd"}, "p%40ss%20w%2Frd p%40ss+w%2Frd p%40ss%20w%2frd p%40ss%20w/rd p@ss%20w/rd", "*** *** *** *** ***"},
		{"in JSON", []string{`a"b\c<d>`}, `{"x":"a\"b\\c<d>","y":"a\"b\\c\u003cd\u003e"}`, `{"x":"***","y":"***"}`},
		{"in JSON in JSON", []string{`a"b"`}, `"{\"x\":\"a\\\"b\\\"\"}"`, `"{\"x\":\"***\"}"`},
		{"in ASCII JSON", []string{"pässwörd😀"}, `"p\u00e4ssw\u00f6rd\ud83d\ude00"`, `"***"`},
		{"slashes escaped", []string{"ab/cd"}, `ab\/cd`, "***"},
		{"in HTML", []string{"a&b<c"}, "a&amp;b&lt;c", "***"},
		{"quoted by a shell", []string{"it's $ecret"}, `'it'\''s $ecret' $'it\'s $ecret' it\'s\ \$ecret`, `'***' $'***' ***`},
	} {
		t.Run(test.name, func(t *testing.T) {
			secrets := NewSecrets(test.secrets...)
			require.Equal(t, test.out, secrets.Mask(test.in))
			random := rand.New(rand.NewPCG(1, 2))
			for range 20 {
				require.Equal(t, test.out, masked(t, secrets, test.in, random))
			}
		})
	}
	require.Equal(t, "text", (*Secrets)(nil).Mask("text"))
}

// randomSecret makes secrets of all kinds: of letters, of any bytes, of several lines.
func randomSecret(random *rand.Rand) string {
	const letters = "abcABC019+/=_-%\"'\\<>&$ é😀"
	runes := []rune(letters)
	n := 8 + random.IntN(90)
	var b strings.Builder
	switch random.IntN(4) {
	case 0:
		for range n {
			b.WriteByte(byte(random.IntN(256)))
		}
	case 1:
		for i := range n {
			if i%20 == 19 {
				b.WriteByte('\n')
			}
			b.WriteRune(runes[random.IntN(len(runes))])
		}
	default:
		for range n {
			b.WriteRune(runes[random.IntN(len(runes))])
		}
	}
	return "s" + strings.TrimSpace(b.String()) + "e"
}

// wrap breaks text into lines of 76, as base64(1) does.
func wrap(text string) string {
	var b strings.Builder
	for len(text) > 76 {
		b.WriteString(text[:76] + "\n")
		text = text[76:]
	}
	return b.String() + text
}

// S10: whatever the secret, its form and the borders of writes, what identifies it does not get through.
func TestS10NoFormOfASecretGetsThrough(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		secret := randomSecret(random)
		secrets := NewSecrets(secret, randomSecret(random))
		filler := func() string { return strings.Repeat("x.", random.IntN(30)) }
		forms := map[string]string{"whole": secret, "query": url.QueryEscape(secret), "path": url.PathEscape(secret), "html": html.EscapeString(secret)}
		for name, encoding := range map[string]*base64.Encoding{
			"std": base64.StdEncoding, "raw": base64.RawStdEncoding, "url": base64.URLEncoding, "rawurl": base64.RawURLEncoding,
		} {
			forms[name] = encoding.EncodeToString([]byte(secret))
			forms["wrapped "+name] = wrap(encoding.EncodeToString([]byte(secret)))
		}
		if utf8.ValidString(secret) {
			j, err := json.Marshal(secret)
			require.NoError(t, err)
			forms["json"] = string(j[1 : len(j)-1])
		}
		for name, form := range forms {
			before, after := filler(), filler()
			got := masked(t, secrets, before+form+after, random)
			require.Equal(t, before+Replacement+after, got, "%s of %q", name, secret)
		}
		// Inside of longer base64, at every position: of the secret's own characters at most the two that it shares with
		// its neighbours remain.
		for prefix := range 4 {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
				text := encoding.EncodeToString([]byte(strings.Repeat("\x01", prefix) + secret + "\x02\x03\x04"))
				head := (prefix*8 + 5) / 6
				tail := (prefix + len(secret)) * 8 / 6
				for _, form := range []string{text, wrap(text)} {
					got := masked(t, secrets, form, random)
					want := text[:head] + Replacement + text[tail:]
					// The last shared character may be the one that the secret encoded by itself ends with.
					more := text[:head] + Replacement + text[tail+1:]
					require.Contains(t, []string{want, more}, strings.ReplaceAll(got, "\n", ""), "prefix %d of %q", prefix, secret)
				}
			}
		}
	}
}

// S10: text without a secret is not changed, wherever writes are cut.
func TestS10OtherTextIsLeftAlone(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	secrets := NewSecrets("abcabcabd", "abcab\nabcac", "correct horse battery staple")
	for range 300 {
		var b strings.Builder
		for range random.IntN(400) {
			b.WriteByte("abc \n\r"[random.IntN(6)])
		}
		text := b.String()
		want := text
		for _, secret := range []string{"abcab\nabcac", "abcab\r\nabcac", "abcabcabd"} {
			want = strings.ReplaceAll(want, secret, Replacement)
		}
		require.Equal(t, want, masked(t, secrets, text, random))
	}
}

// S10: a value that becomes known while a stream is open is masked from then on, also where half of it was written.
func TestS10SecretsGrow(t *testing.T) {
	secrets := NewSecrets("known-value")
	var out bytes.Buffer
	m := secrets.Masker(&out)
	fmt.Fprint(m, "later-value known-")
	secrets.Add("later-value", "known-other")
	fmt.Fprint(m, "other later-")
	fmt.Fprint(m, "value known-value")
	require.NoError(t, m.Close())
	require.Equal(t, "later-value *** *** ***", out.String())

	var empty Secrets
	empty.values = map[string]bool{}
	out.Reset()
	m = empty.Masker(&out)
	fmt.Fprint(m, "abcdef ")
	empty.Add("abcdef")
	fmt.Fprint(m, "abcdef")
	require.NoError(t, m.Close())
	require.Equal(t, "abcdef ***", out.String())
}

// What can be no part of a secret is not held back.
func TestMaskerPassesLinesOnAtOnce(t *testing.T) {
	secrets := NewSecrets("hunter22", "z-one two\nthree four")
	var out bytes.Buffer
	m := secrets.Masker(&out)
	for _, step := range []struct{ write, have string }{
		{"hello.", "hello."},
		{" hunt", "hello. "},
		{"er\n", "hello. hunter\n"},
		{"z-one two", "hello. hunter\n"},
		{"\n", "hello. hunter\n"},
		{"two\n", "hello. hunter\n***\ntwo\n"},
	} {
		fmt.Fprint(m, step.write)
		require.Equal(t, step.have, out.String(), "after %q", step.write)
		require.False(t, m.HoldsLine())
	}
	require.NoError(t, m.Close())
}

func TestMaskerReleasesLinesHeldForBase64(t *testing.T) {
	secret := strings.Repeat("long secret ", 10)
	encoded := base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(secret)))
	secrets := NewSecrets(secret)
	var out bytes.Buffer
	m := secrets.Masker(&out)
	fmt.Fprintf(m, "%s\n", encoded[:40])
	require.True(t, m.HoldsLine())
	require.Empty(t, out.String())
	require.NoError(t, m.ReleaseLine())
	require.Equal(t, encoded[:40]+"\n", out.String())
	require.False(t, m.HoldsLine())
	out.Reset()
	fmt.Fprintf(m, "%s\n%s", encoded[:40], encoded[40:])
	require.NoError(t, m.Close())
	require.Equal(t, "***", out.String())
}

func FuzzMasker(f *testing.F) {
	f.Add("hunter22", "second\nsecret", "the hunter22 is second\nsecret aHVudGVyMjI=", uint64(1))
	f.Add("aaaa", "aaab", "aaaaaaabaaa", uint64(2))
	f.Fuzz(func(t *testing.T, a, b, text string, seed uint64) {
		secrets := NewSecrets(a, b)
		random := rand.New(rand.NewPCG(seed, 0))
		whole := secrets.Mask(text)
		require.Equal(t, whole, masked(t, secrets, text, random), "the same, however it is cut")
		for _, secret := range []string{strings.TrimSpace(a), strings.TrimSpace(b)} {
			// The replacement itself may complete what looks like a secret of stars.
			if len(secret) >= shortest && !strings.Contains(secret, "*") {
				require.NotContains(t, whole, secret)
			}
		}
	})
}

func BenchmarkMasker(b *testing.B) {
	random := rand.New(rand.NewPCG(7, 8))
	var text strings.Builder
	for text.Len() < 1<<20 {
		fmt.Fprintf(&text, "2026-11-22T05:00:%02d INFO building package github.com/example/%d with flags -trimpath and %x\n",
			random.IntN(60), random.IntN(1000), random.Uint64())
	}
	data := []byte(text.String())
	for _, n := range []int{1, 5, 50} {
		b.Run(fmt.Sprintf("%d secrets", n), func(b *testing.B) {
			secrets := NewSecrets()
			for range n {
				value := make([]byte, 24)
				for i := range value {
					value[i] = byte('!' + random.IntN(90))
				}
				secrets.Add(string(value))
			}
			m := secrets.Masker(io.Discard)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				for p := data; len(p) > 0; p = p[min(len(p), 32<<10):] {
					m.Write(p[:min(len(p), 32<<10)])
				}
			}
		})
	}
}
