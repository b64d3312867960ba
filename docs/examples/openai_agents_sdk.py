"""An agent with a tool, through the router, with OpenAI's Agents SDK.

pip install openai-agents
OPENAI_BASE_URL=http://router:8080/v1 OPENAI_API_KEY=... MODEL=... python openai_agents_sdk.py
"""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI


@function_tool
def read_file(path: str) -> str:
    """Read a file."""
    return f"{path} is empty."


async def main() -> None:
    """One task: the agent's turns are one conversation, which stays where its prefix is."""
    set_tracing_disabled(True)  # traces would go to OpenAI
    model = OpenAIChatCompletionsModel(os.environ["MODEL"], AsyncOpenAI())
    agent = Agent(name="reader", instructions="You read files.", tools=[read_file], model=model)
    print((await Runner.run(agent, "What is in notes.txt?")).final_output)


asyncio.run(main())
