// SPDX-License-Identifier: Apache-2.0

// cnirun is a small cnitool on Debian's libcni: it calls a chain of CNI plugins
// as container runtimes do, and starts pods in numbers for the first-packet test.
//
//	cnirun add|check|del CONFLIST NETNS CONTAINER
//	cnirun gc CONFLIST [CONTAINER…]    these are valid; status CONFLIST (libcni 1.2 and later)
//	cnirun storm CONFLIST WORKERS FROM COUNT NETNS-PREFIX PROBE ARGUMENT…
//	cnirun poll DIR PLUGIN STOP-FILE
//
// Environment: CNI_PATH, CNI_CACHE (libcni's result cache, a private folder),
// CNI_IFNAME (eth0), CNI_ARGS ("K=V;K=V"), CAP_ARGS (JSON: runtimeConfig).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

func fail(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, "cnirun: "+format+"\n", args...)
	os.Exit(1)
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

type chain struct {
	cni  *libcni.CNIConfig
	list *libcni.NetworkConfigList
}

func openChain(conflist string) chain {
	list, err := libcni.ConfListFromFile(conflist)
	if err != nil {
		fail("%v", err)
	}
	cache := os.Getenv("CNI_CACHE")
	if cache == "" {
		fail("CNI_CACHE is not set")
	}
	return chain{libcni.NewCNIConfigWithCacheDir(filepath.SplitList(os.Getenv("CNI_PATH")), cache, nil), list}
}

func runtimeConf(netns, container string) *libcni.RuntimeConf {
	rt := &libcni.RuntimeConf{ContainerID: container, NetNS: netns, IfName: environment("CNI_IFNAME", "eth0")}
	for _, pair := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		if name, value, found := strings.Cut(pair, "="); found {
			rt.Args = append(rt.Args, [2]string{name, value})
		}
	}
	if err := json.Unmarshal([]byte(environment("CAP_ARGS", "{}")), &rt.CapabilityArgs); err != nil {
		fail("CAP_ARGS: %v", err)
	}
	return rt
}

func (c chain) verb(verb string, rt *libcni.RuntimeConf) error {
	ctx := context.Background()
	switch verb {
	case "add":
		result, err := c.cni.AddNetworkList(ctx, c.list, rt)
		if err != nil {
			return err
		}
		return result.Print()
	case "check":
		return c.cni.CheckNetworkList(ctx, c.list, rt)
	case "del":
		return c.cni.DelNetworkList(ctx, c.list, rt)
	}
	return fmt.Errorf("unknown verb %q", verb)
}

func main() {
	args := os.Args[1:]
	if len(args) >= 7 && args[0] == "storm" {
		storm(args[1:])
		return
	}
	if len(args) == 4 && args[0] == "poll" {
		poll(args[1], args[2], args[3])
		return
	}
	if len(args) >= 2 && (args[0] == "gc" || args[0] == "status") {
		if err := openChain(args[1]).whole(args[0], args[2:]); err != nil {
			fail("%s: %v", args[0], err)
		}
		return
	}
	if len(args) != 4 {
		fail("add|check|del CONFLIST NETNS CONTAINER, gc CONFLIST [CONTAINER…], status CONFLIST, or storm CONFLIST WORKERS FROM COUNT NETNS-PREFIX PROBE ARGUMENT…, or poll DIR PLUGIN STOP-FILE")
	}
	if err := openChain(args[1]).verb(args[0], runtimeConf(args[2], args[3])); err != nil {
		fail("%s: %v", args[0], err)
	}
}
