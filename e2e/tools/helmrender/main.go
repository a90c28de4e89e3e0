// SPDX-License-Identifier: Apache-2.0

// helmrender renders a chart's templates as `helm template` does, as far as our chart goes; helm is
// not in Debian. Values and chart come as JSON, and toYaml writes JSON, which is YAML.
//
//	helmrender '{"Values": {…}, "Chart": {…}, "Release": {…}}' FILE…
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"text/template"
)

func indent(n int, s string) string {
	pad := strings.Repeat(" ", n)
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
}

var functions = template.FuncMap{
	"toYaml": func(v any) (string, error) {
		b, err := json.MarshalIndent(v, "", "  ")
		return string(b), err
	},
	"indent":  indent,
	"nindent": func(n int, s string) string { return "\n" + indent(n, s) },
	"default": func(fallback, v any) any {
		if v == nil || reflect.ValueOf(v).IsZero() {
			return fallback
		}
		return v
	},
	"sha256sum": func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) },
	"quote":     func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
}

func main() {
	var context map[string]any
	if err := json.Unmarshal([]byte(os.Args[1]), &context); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, file := range os.Args[2:] {
		text, err := os.ReadFile(file)
		if err == nil {
			var t *template.Template
			t, err = template.New(file).Option("missingkey=error").Funcs(functions).Parse(string(text))
			if err == nil {
				fmt.Println("---")
				err = t.Execute(os.Stdout, context)
			}
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
