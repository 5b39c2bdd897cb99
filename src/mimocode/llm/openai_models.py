"""OpenAI's two APIs, their tools' schemas transformed once. Imported lazily: it takes a second."""

from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

from .tools_once import ToolsOnce


class ChatModel(ToolsOnce, OpenAIChatModel):
    pass


class ResponsesModel(ToolsOnce, OpenAIResponsesModel):
    pass
