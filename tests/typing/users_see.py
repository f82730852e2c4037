from shell_ev import ShellEV
def f(ev: ShellEV) -> None:
    reveal_type(ev.charging.start)
    reveal_type(ev.charging.start("a","b"))
    reveal_type(ev.charging.active("a").data)
