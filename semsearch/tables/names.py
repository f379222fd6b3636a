"""The usual names of columns, in English and Chinese, by role and rank; see `roles`.

Names are written as `roles.plain_name` gives them: no case, width, spaces or punctuation.
"""

from __future__ import annotations

QUESTION = (
    "standardquestion stdquestion canonicalquestion mainquestion 标准问 标准问题 标准问法 "
    "标准问句 标准提问 主问题 主问 標準問 標準問題 標準問法 標準問句 主問題",
    "question questions questiontext faqquestion 问题 问句 提问 问法 問題 問句 提問 問法",
    "q query 问 問 知识标题 知識標題",
    "title 标题 標題",
)
ANSWER = (
    "standardanswer stdanswer 标准答案 标准回答 标准答复 标准回复 標準答案 標準回答 "
    "標準答覆 標準回覆",
    "answer answers answertext response responses reply replies faqanswer 答案 回答 答复 "
    "回复 应答 解答 回覆 答覆 應答 答案内容 答案內容 回复内容 回覆內容",
    "a 答",
    "solution content body 解决方案 解決方案 内容 內容 正文 知识内容 知識內容",
)
KEY = (
    "key faqkey questionkey",
    "qid questionid faqid standardquestionid 问题编号 问题id 标准问编号 标准问id "
    "标准问题编号 标准问题id 問題編號 問題id 標準問編號 標準問id 標準問題編號 标识 標識 "
    "知识编号 知识id 知識編號",
    "id 编号 編號 编码 編碼",
    "no num number 序号 序號",
)
PHRASING = (
    "phrasing phrasings similar similars similarquestion similarquestions similarphrasing "
    "similarphrasings simquestion simquestions variant variants variation variations "
    "alternative alternatives alternativequestion alternativequestions alternate "
    "alternatequestion alternatequestions alt alts altquestion altquestions alias aliases "
    "paraphrase paraphrases rephrasing rephrasings utterance utterances extendedquestion "
    "extendedquestions otherphrasings 相似问 相似问题 相似问法 相似问句 相似说法 相似句 "
    "相似 扩展问 扩展问题 扩展问法 扩展问句 拓展问 拓展问题 拓展问法 同义问 同义问题 "
    "同义问法 同义问句 同义句 近似问 近似问题 近似问法 类似问 类似问题 类似问法 其他问法 "
    "其它问法 用户问法 别名 变体 相似問 相似問題 相似問法 相似問句 相似說法 擴展問 "
    "擴展問題 擴展問法 擴充問 擴充問題 延伸問 延伸問法 同義問 同義問題 同義問法 同義句 "
    "近似問 近似問題 近似問法 類似問 類似問題 類似問法 其他問法 其它問法 使用者問法 別名 "
    "變體",
)
TEXT = (
    "text texts 文本",
    *PHRASING,
    "query queries sentence sentences 查询 查詢 句子 语句 語句",
    *QUESTION,
)
