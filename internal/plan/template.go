package plan

import (
	"errors"
	"fmt"

	"github.com/cbroglie/mustache"
)

// noPartials keeps templates from including files: the library's default reads any path that the process can read.
type noPartials struct{}

func (noPartials) Get(name string) (string, error) {
	return "", fmt.Errorf("the template includes '%s', but partials are not supported", name)
}

const maxTemplateOutput = 16 << 20

// RenderTemplate renders a Mustache text. Partials are refused.
func RenderTemplate(text string, values map[string]any) (string, error) {
	template, err := mustache.ParseStringPartials(text, noPartials{})
	if err != nil {
		return "", err
	}
	var out limitedBuffer
	if err := template.FRender(&out, values); err != nil {
		return "", err
	}
	return string(out.data), nil
}

// checkTemplate only parses a Mustache text.
func checkTemplate(text string) error {
	_, err := mustache.ParseStringPartials(text, noPartials{})
	return err
}

type limitedBuffer struct{ data []byte }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > maxTemplateOutput {
		return 0, errors.New("the rendered template is too large")
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
