"""The headings of a report, in both of its languages."""

from __future__ import annotations

from deploys.planning.acceptance.check import Phase
from deploys.planning.acceptance.sentences import Language

_WORDS: dict[str, tuple[str, str]] = {
    "certificate": ("Certificate of acceptance", "验收证书"),
    "report": ("Report of an acceptance", "验收报告"),
    "look": ("Quick look, no certificate", "快速检查, 不是验收证书"),
    "part": ("Part of an acceptance, no certificate", "部分验收, 不是验收证书"),
    "accepted": ("ACCEPTED", "验收通过"),
    "well": ("ALL PASSED", "全部通过"),
    "refused": ("NOT ACCEPTED", "验收未通过"),
    "other": ("中文", "English"),
    "machine": ("Machine", "机器"),
    "serial": ("serial number", "序列号"),
    "product": ("product", "产品"),
    "name": ("name", "名称"),
    "system": ("system", "系统"),
    "processor": ("processor", "处理器"),
    "memory": ("memory", "内存"),
    "firmware": ("firmware", "固件"),
    "macs": ("network cards", "网卡"),
    "disks": ("disks", "磁盘"),
    "tested": ("tested", "测试时间"),
    "cards": ("Cards", "卡"),
    "card": ("card", "卡"),
    "address": ("address", "地址"),
    "firmware of it": ("firmware", "固件"),
    "driver": ("driver", "驱动"),
    "software": ("Software and weights", "软件与权重"),
    "version": ("version", "版本"),
    "digest": ("digest", "摘要"),
    "checks": ("Plan and measured", "规划与实测"),
    "check": ("check", "检查项"),
    "of": ("of", "对象"),
    "planned": ("wanted", "要求"),
    "measured": ("measured", "实测"),
    "result": ("result", "结果"),
    "passed": ("passed", "通过"),
    "failed": ("FAILED", "失败"),
    "not run": ("NOT RUN", "未执行"),
    "load": ("Answers to many at once", "并发回答"),
    "at once": ("requests at once", "并发请求数"),
    "all": ("all together, tokens/s", "总计, 词元/秒"),
    "each": ("each, tokens/s", "每个, 词元/秒"),
    "first": ("first token, ms", "首词元, 毫秒"),
    "soak": ("Under load", "持续负载"),
    "clock": ("clock, MHz", "时钟, MHz"),
    "temperature": ("temperature, °C", "温度, °C"),
    "seconds": ("seconds", "秒"),
    "signed": ("Name, date, signature", "姓名, 日期, 签名"),
    "vendor": ("For the vendor", "供方"),
    "customer": ("For the customer", "需方"),
}
PHASES: dict[Phase, tuple[str, str]] = {
    "host": ("host", "主机"),
    "cards": ("cards", "卡"),
    "fabric": ("fabric", "互连"),
    "engine": ("engine", "推理引擎"),
    "api": ("API", "接口"),
    "performance": ("performance", "性能"),
    "soak": ("soak", "持续负载"),
}


def words(language: Language) -> dict[str, str]:
    """Return all of them in one language."""
    at = 1 if language == "zh" else 0
    return {
        **{name: both[at] for name, both in _WORDS.items()},
        **{f"phase {name}": both[at] for name, both in PHASES.items()},
    }
