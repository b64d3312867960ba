"""A conversation through the router with LangChain.

pip install langchain-openai
OPENAI_BASE_URL=http://router:8080/v1 OPENAI_API_KEY=... MODEL=... python langchain_chat.py
"""

import os

from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI

chat = ChatOpenAI(model=os.environ["MODEL"], base_url=os.environ["OPENAI_BASE_URL"], stream_usage=True)
messages = [SystemMessage("You answer in one sentence."), HumanMessage("What is a prefix cache?")]
answer = chat.invoke(messages)
messages += [answer, HumanMessage("Who fills it?")]
print(chat.invoke(messages).content)
