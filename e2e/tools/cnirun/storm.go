// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// The storm starts pods as fast as it can, several at a time. A pod's process is
// there before its network, held back by its stdin; the moment ADD returns it is
// let go and connects: nothing lies between the end of ADD and the first packet.
// Pods with an even number use UDP, the others TCP. Each prints one line,
// "NUMBER ANSWER", and is deleted again.

type pod struct {
	number int
	netns  string
	probe  *exec.Cmd
	start  io.WriteCloser
	output strings.Builder
}

// newPod makes the namespace and starts the probe in it. The thread that enters
// the namespace is never given back: the goroutine ends with it locked.
func newPod(number int, prefix string, command []string) (*pod, error) {
	p := &pod{number: number, netns: fmt.Sprintf("/run/netns/%s%d", prefix, number)}
	protocol := "udp"
	if number%2 == 1 {
		protocol = "tcp"
	}
	arguments := append([]string{"ask", protocol}, command[1:]...)
	p.probe = exec.Command(command[0], append(arguments, "wait")...)
	p.probe.Stdout = &p.output
	p.probe.Stderr = os.Stderr
	stdin, err := p.probe.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.start = stdin
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		failed <- p.enter()
	}()
	if err := <-failed; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *pod) enter() error {
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	file, err := os.Create(p.netns)
	if err != nil {
		return err
	}
	file.Close()
	self := fmt.Sprintf("/proc/self/task/%d/ns/net", syscall.Gettid())
	if err := syscall.Mount(self, p.netns, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return p.probe.Start()
}

func (p *pod) remove() {
	syscall.Unmount(p.netns, syscall.MNT_DETACH)
	os.Remove(p.netns)
}

func (p *pod) run(c chain) string {
	defer p.remove()
	rt := runtimeConf(p.netns, fmt.Sprintf("storm-%d", p.number))
	rt.Args = append(rt.Args, [2]string{"IgnoreUnknown", "1"},
		[2]string{"K8S_POD_NAMESPACE", environment("STORM_NAMESPACE", "default")},
		[2]string{"K8S_POD_NAME", fmt.Sprintf("storm-%d", p.number)})
	_, err := c.cni.AddNetworkList(context.Background(), c.list, rt)
	p.start.Close()
	p.probe.Wait()
	answer := strings.TrimSpace(p.output.String())
	if err != nil {
		answer = fmt.Sprintf("add-failed %v", err)
	}
	if err := c.cni.DelNetworkList(context.Background(), c.list, rt); err != nil {
		answer += fmt.Sprintf(" del-failed %v", err)
	}
	return strings.ReplaceAll(answer, "\n", " ")
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		fail("%v", err)
	}
	return n
}

func storm(args []string) {
	c := openChain(args[0])
	workers, from, count := number(args[1]), number(args[2]), number(args[3])
	numbers := make(chan int)
	var wait sync.WaitGroup
	var print sync.Mutex
	for i := 0; i < workers; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for n := range numbers {
				answer := ""
				p, err := newPod(n, args[4], args[5:])
				if err != nil {
					answer = fmt.Sprintf("start-failed %v", err)
				} else {
					answer = p.run(c)
				}
				print.Lock()
				fmt.Println(n, answer)
				print.Unlock()
			}
		}()
	}
	for n := from; n < from+count; n++ {
		numbers <- n
	}
	close(numbers)
	wait.Wait()
}
