// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/containernetworking/cni/libcni"
)

// first loads the configuration that a runtime takes from dir, as containerd's go-cni
// does: the first file by name, and an error if that one is not valid.
func first(dir string) (string, *libcni.NetworkConfigList, error) {
	files, err := libcni.ConfFiles(dir, []string{".conf", ".conflist", ".json"})
	if err != nil {
		return "", nil, err
	}
	if len(files) == 0 {
		return "", nil, fmt.Errorf("no network config found in %s", dir)
	}
	sort.Strings(files)
	if filepath.Ext(files[0]) == ".conflist" {
		list, err := libcni.ConfListFromFile(files[0])
		return files[0], list, err
	}
	conf, err := libcni.ConfFromFile(files[0])
	if err != nil {
		return files[0], nil, err
	}
	list, err := libcni.ConfListFromConf(conf)
	return files[0], list, err
}

func chained(list *libcni.NetworkConfigList, plugin string) bool {
	for _, p := range list.Plugins {
		if p.Network.Type == plugin {
			return true
		}
	}
	return false
}

// poll looks at dir as a runtime does, again and again, until the file stop is there.
// Whenever what it finds is broken or does not call plugin, it prints a line. The last
// line is "LOOKS looks, WRONG wrong, NAMES names": how many network names there were.
func poll(dir, plugin, stop string) {
	looks, wrong := 0, 0
	names := map[string]bool{}
	for {
		file, list, err := first(dir)
		looks++
		switch {
		case err != nil:
			wrong++
			fmt.Printf("%s: %v\n", file, err)
		case !chained(list, plugin):
			wrong++
			fmt.Printf("%s: no %s\n", file, plugin)
		default:
			names[list.Name] = true
		}
		if looks%64 == 0 {
			if _, err := os.Stat(stop); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
	fmt.Printf("%d looks, %d wrong, %d names\n", looks, wrong, len(names))
}
