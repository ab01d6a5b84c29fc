"""What a report says, in both of its languages."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]
Words = dict[Language, str]


def _both(english: str, chinese: str) -> Words:
    return {"en": english, "zh": chinese}


NAMES: dict[str, Words] = {
    "plan": _both("plan", "规划"),
    "deployed": _both("deployed as planned", "已按规划部署"),
    "units": _both("units of systemd", "systemd 单元"),
    "memory errors": _both("memory errors of the host", "主机内存错误"),
    "disk read": _both("disk, reading", "磁盘读取"),
    "disk write": _both("disk, writing", "磁盘写入"),
    "count": _both("number of cards", "卡数"),
    "link width": _both("PCIe lanes", "PCIe 通道数"),
    "clock": _both("clock", "时钟"),
    "ecc": _both("memory errors", "显存错误"),
    "xid": _both("driver's errors (Xid)", "驱动错误 (Xid)"),
    "memory copy": _both("memory copy", "显存拷贝"),
    "host copy": _both("copy from the host", "主机到卡拷贝"),
    "peer copy": _both("copy to the next card", "卡间拷贝"),
    "all-reduce": _both("NCCL all-reduce", "NCCL all-reduce"),
    "unit": _both("unit", "服务单元"),
    "weights": _both("weights", "权重"),
    "quantization": _both("quantization", "量化"),
    "template": _both("chat template", "对话模板"),
    "answers": _both("answers", "回答"),
    "reference": _both("answers of the accepted machine", "与已验收机器的回答一致"),
    "model": _both("model's name", "模型名称"),
    "context": _both("context", "上下文长度"),
    "ports": _both("open ports", "开放端口"),
    "keys": _both("limits of keys", "密钥限额"),
    "door": _both("gateway without a key", "无密钥访问网关"),
    "load": _both("requests at once", "并发请求"),
    "speed": _both("one request alone", "单请求速度"),
    "users": _both("users at a stated speed", "给定速度下的用户数"),
    "soak": _both("answers under load", "持续负载下的回答"),
    "soak xid": _both("errors during the soak", "持续负载期间的错误"),
    "soak ecc": _both("memory errors during the soak", "持续负载期间的显存错误"),
    "soak clock": _both("clock during the soak", "持续负载期间的时钟"),
    "restart": _both("service after a restart", "重启服务后"),
    "reboot": _both("service after a reboot", "重启机器后"),
    "run": _both("run of this phase", "本阶段运行"),
}

SENTENCES: dict[str, Words] = {
    "refused": _both("{text}", "{text}"),
    "plan refused": _both("the plan is refused", "规划被拒绝"),
    "broke off": _both("it could not be looked at: {text}", "无法检查: {text}"),
    "not deployed": _both(
        "nothing is deployed here: run deploys/full.py first",
        "此机尚未部署: 请先运行 deploys/full.py",
    ),
    "other plan": _both(
        "{part} is deployed otherwise than planned: run deploys/full.py first",
        "{part} 的部署与规划不同: 请先运行 deploys/full.py",
    ),
    "unit failed": _both("{units} has failed", "{units} 已失败"),
    "host memory": _both(
        "the host's memory has {count} uncorrected errors", "主机内存有 {count} 个不可纠正的错误"
    ),
    "slow disk": _both(
        "the disk of {path} is slow: {measured:.3g} {unit}, and {wanted:.3g} are wanted",
        "{path} 所在磁盘过慢: {measured:.3g} {unit}, 要求 {wanted:.3g}",
    ),
    "no room": _both("{path} has no room for it: {text}", "{path} 空间不足: {text}"),
    "card missing": _both(
        "{measured:g} of {wanted:g} cards answer; missing: {missing}",
        "{wanted:g} 张卡中只有 {measured:g} 张应答; 缺少: {missing}",
    ),
    "no cards": _both("the profile has no cards", "该类型没有卡"),
    "other vendor": _both(
        "what cards of this vendor say is not read yet", "尚不读取该厂商的卡信息"
    ),
    "narrow link": _both(
        "{card} runs on PCIe x{measured:g} of x{wanted:g}: seat it again, or try another slot",
        "{card} 运行于 PCIe x{measured:g}, 应为 x{wanted:g}: 请重新插卡或换槽位",
    ),
    "throttled": _both(
        "{card} is throttled ({reasons}): {clock} of {most} MHz at {temperature} °C",
        "{card} 被降频 ({reasons}): {clock} / {most} MHz, {temperature} °C",
    ),
    "uncorrected": _both(
        "{card} has {count} uncorrected memory errors", "{card} 有 {count} 个不可纠正的显存错误"
    ),
    "xid": _both("the driver has told of errors: {text}", "驱动报告了错误: {text}"),
    "no torch": _both("{engine} brings no program that measures it", "{engine} 没有可测量它的程序"),
    "one card": _both("there is one card alone", "只有一张卡"),
    "left out": _both("quick leaves it out", "快速验收不做"),
    "slow": _both(
        "{what} reaches {measured:.3g} {unit}, and {wanted:.3g} are wanted",
        "{what} 为 {measured:.3g} {unit}, 要求 {wanted:.3g}",
    ),
    "no room on cards": _both(
        "the engine has left no room on the cards: {text}", "推理引擎没有在卡上留出空间: {text}"
    ),
    "no limit known": _both("nothing says how much it should be", "没有可对照的数值"),
    "unit is": _both("{unit} is {state}", "{unit} 处于 {state}"),
    "unit restarts": _both(
        "{unit} was restarted {count} times by systemd", "{unit} 已被 systemd 重启 {count} 次"
    ),
    "not enabled": _both(
        "{unit} does not start with the machine: it is {state}",
        "{unit} 不随机器启动: 处于 {state}",
    ),
    "other weights": _both(
        "{service} serves {found}, and {planned} is planned",
        "{service} 提供的是 {found}, 规划为 {planned}",
    ),
    "weights changed": _both(
        "the weights are not what was fetched: {text}", "权重与下载时不同: {text}"
    ),
    "other quantization": _both(
        "{service} serves its model in {found}, and {planned} is planned",
        "{service} 的模型量化为 {found}, 规划为 {planned}",
    ),
    "other template": _both(
        "{service} writes prompts with another chat template (sha256 {found}) than that of its"
        " {where} (sha256 {planned})",
        "{service} 使用的对话模板 (sha256 {found}) 与 {where} 中的 (sha256 {planned}) 不同",
    ),
    "template untold": _both(
        "{engine} does not tell its template; what a wrong one does shows in the answers",
        "{engine} 不提供其模板; 错误的模板会体现在回答中",
    ),
    "wrong answers": _both(
        "{right} of {asked} answers of {service} are right, and {wanted} have to be; to"
        " “{question}” it says “{said}”",
        "{service} 的 {asked} 个回答中 {right} 个正确, 至少应有 {wanted} 个;"
        " 对“{question}”它答“{said}”",
    ),
    "leaks": _both(
        "an answer of {service} holds {token}, which is a sign of another chat template or"
        " tokenizer",
        "{service} 的回答中出现 {token}, 说明对话模板或分词器不对",
    ),
    "small model": _both(
        "nobody knows how many answers a model of this size has right: name your own with --data"
        " questions=FILE",
        "无法预知这种大小的模型应答对多少: 请用 --data questions=FILE 提供自己的问题",
    ),
    "no answers": _both("it writes no answers: its task is {task}", "它不生成回答: 任务为 {task}"),
    "other answers": _both(
        "{differing} of {asked} answers of {service} are others than those of {machine}",
        "{service} 的 {asked} 个回答中 {differing} 个与 {machine} 的不同",
    ),
    "no reference": _both(
        "no report of an accepted machine was named (--data reference=FILE)",
        "没有指定已验收机器的报告 (--data reference=FILE)",
    ),
    "other model": _both(
        "{service} lists {found} instead of {planned}", "{service} 列出 {found}, 应为 {planned}"
    ),
    "short context": _both(
        "{service} takes requests of {measured:g} tokens, and {wanted:g} are planned",
        "{service} 每个请求可用 {measured:g} 个词元, 规划为 {wanted:g}",
    ),
    "port open": _both(
        "port {port} ({owner}) answers other machines, and the plan opens {planned}",
        "端口 {port} ({owner}) 对其他机器开放, 规划只开放 {planned}",
    ),
    "port not closed": _both(
        "the plan limits no ports: without a gateway there is no firewall",
        "规划不限制端口: 没有网关就没有防火墙",
    ),
    "from itself": _both(
        "this computer is the machine, and what others reach is seen from another one",
        "本机就是被测机器, 其他机器能访问什么须从别处查看",
    ),
    "none reached": _both(
        "none of its open ports is reached from here, so nobody knows what others reach",
        "从这里访问不到任何开放端口, 因此无从得知其他机器能访问什么",
    ),
    "not counted": _both("nothing counts them here", "这里没有计数"),
    "no gateway": _both("the profile has no gateway", "该类型没有网关"),
    "gateway silent": _both("the gateway does not answer: {text}", "网关没有应答: {text}"),
    "no limit": _both(
        "the key of {user} has no limit: the gateway allows {found}, and {planned} is planned",
        "{user} 的密钥没有限额: 网关允许 {found}, 规划为 {planned}",
    ),
    "boundless": _both(
        "the key of {user} has no limit: {found} is more than anybody can ask",
        "{user} 的密钥没有限额: {found} 已超出任何人的用量",
    ),
    "unknown key": _both(
        "a key of {user} is let in that the plan does not know",
        "网关接受规划之外的密钥: {user}",
    ),
    "let in": _both(
        "the gateway answers {status} to a request without a key, and 401 is right",
        "网关对没有密钥的请求回答 {status}, 应为 401",
    ),
    "errors": _both(
        "{failed} of {asked} requests failed at {parallel} at once",
        "{parallel} 个并发时, {asked} 个请求中 {failed} 个失败",
    ),
    "slow alone": _both(
        "one request alone gets {measured:.3g} tokens per second, and {wanted:.3g} are planned",
        "单个请求每秒 {measured:.3g} 个词元, 规划为 {wanted:.3g}",
    ),
    "few users": _both(
        "{measured:g} users get {rate} tokens per second each, and {wanted:g} are planned",
        "{measured:g} 个用户可得每秒 {rate} 个词元, 规划为 {wanted:g}",
    ),
    "no load tool": _both("the load could not be made: {text}", "无法产生负载: {text}"),
    "soak errors": _both(
        "{failed} of {asked} requests failed during the soak: {text}",
        "持续负载期间 {asked} 个请求中 {failed} 个失败: {text}",
    ),
    "nothing to ask": _both("no service here writes answers", "这里没有生成回答的服务"),
    "soak silent": _both("no request was answered during the soak", "持续负载期间没有任何回答"),
    "soak xid": _both(
        "the driver told of an error during the soak: {text}",
        "持续负载期间驱动报告了错误: {text}",
    ),
    "soak ecc": _both(
        "{card} had {count} uncorrected memory errors during the soak",
        "{card} 在持续负载期间出现 {count} 个不可纠正的显存错误",
    ),
    "soak lost": _both("{card} stopped answering during the soak", "{card} 在持续负载期间停止应答"),
    "not back": _both(
        "{unit} is not back after {what}: {text}", "{what} 后 {unit} 没有恢复: {text}"
    ),
    "no reboot": _both("the machine did not reboot: {text}", "机器没有重启: {text}"),
}
