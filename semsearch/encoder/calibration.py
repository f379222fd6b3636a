"""Texts that say how wide the values inside an encoder are."""

from __future__ import annotations

TEXTS = (
    "How do I reset my password?",
    "Where is my parcel? It was sent two weeks ago and nothing has come.",
    "My card was declined at the shop, though there is money on the account.",
    "I'd like to cancel order #48213-B and get my €25.90 back!",
    "is there a fee for paying abroad",
    "opening hours",
    "Why?",
    "What is the difference between a debit card and a credit card?",
    "Can I change the delivery address after the order has been shipped?",
    "The app crashes every time I open the settings on my phone.",
    "A man is playing the guitar on a stage.",
    "Two dogs run through the snow.",
    "A woman is slicing tomatoes in the kitchen.",
    "The government said on Monday that growth had slowed in the third quarter.",
    "Shares fell 3.5 percent after the company cut its forecast.",
    "He was born in Vienna in 1952 and studied mathematics and physics.",
    "Photosynthesis converts light into chemical energy stored in sugars.",
    "pip install fails with error 404: no matching distribution found",
    "The film is far too long, but the two main actors are wonderful together, and the music "
    "stays in your head for days; I would watch it again if only for the last half hour.",
    "怎么申请退款？我的订单还没有发货。",
    "如何修改绑定的手机号码",
    "你们的营业时间是几点到几点？",
    "信用卡",
    "花呗逾期了会不会影响征信",
    "快递三天没有更新物流信息了，能帮我查一下吗",
    "手机没电了，充电器在哪里？",
    "微信支付和支付宝有什么区别",
    "一个男人正在舞台上弹吉他。",
    "两只狗在雪地里奔跑。",
    "北京是中华人民共和国的首都，也是全国的政治、文化中心。",
    "今年第三季度，公司的营业收入同比增长了百分之十二。",
    "這個商品可以退貨嗎？運費由誰負擔？",
    "请问如何开具增值税专用发票？公司抬头填写错误之后还能不能修改，需要重新提交哪些材料？",
    "Where is my 订单 🙂",
)
"""English and Chinese: questions, captions, news, encyclopedias; short and long."""
